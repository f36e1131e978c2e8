"""The web application: the page, its settings, and photographs that are sent to be answered.

  GET  /                the page, and its files under /page/
  GET  /settings        JSON, see `Answers.settings`
  POST /hands?steps=2   the photograph's bytes -> JSON, see `Answers.answer`, or {"error": message} and a status of 413
                        (too large) or 400 (no picture, no hand, or no answer of the model's server)

Flask was chosen because it is small, has been kept well for years, and needs next to nothing that is not installed:
TensorBoard brings Werkzeug, its server. The page has one reader or a few, and the time goes into the model, so an
asynchronous framework with a server of its own (Starlette with uvicorn) would gain nothing here.
"""
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import flask
from werkzeug import exceptions, serving

from dhpe_tf.data import image_files
from dhpe_tf.demo.answers import Answers
from dhpe_tf.errors import UserError

_ADDRESS = '127.0.0.1'
# The browser loads and asks nothing of any other machine, whatever a file of the page should say. Pictures are shown
# and downloads offered from the page's own memory.
_POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
           "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
_HEADERS = {'Content-Security-Policy': _POLICY, 'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer',
            'Cross-Origin-Resource-Policy': 'same-origin', 'Permissions-Policy': 'camera=(self)',
            'Cache-Control': 'no-cache'}


def create_app(answers: Answers) -> flask.Flask:
  """Returns the application, for any WSGI server.

  Args:
    answers: answers the photographs.
  """
  app = flask.Flask(__name__, static_folder='page', static_url_path='/page')
  # A byte more, so that a file beyond the limit is told so by `Answers`. Other names of this machine are refused: a
  # page of a stranger could have its own name lead here.
  app.config.update(MAX_CONTENT_LENGTH=answers.limits.max_bytes + 1, TRUSTED_HOSTS=['localhost', _ADDRESS])
  free = threading.BoundedSemaphore(answers.limits.at_once)

  @app.get('/')
  def page():
    return app.send_static_file('index.html')

  @app.get('/settings')
  def settings():
    return answers.settings()

  @app.post('/hands')
  def hands():
    steps = flask.request.args.get('steps', default=0, type=int)
    data = flask.request.get_data()
    with free:
      return answers.answer(data, steps)

  @app.after_request
  def secure(response):
    response.headers.update(_HEADERS)
    return response

  app.register_error_handler(image_files.TooLargeError, lambda error: _failed(error, 413))
  app.register_error_handler(UserError, lambda error: _failed(error, 400))
  app.register_error_handler(exceptions.RequestEntityTooLarge, lambda error: _failed(
      f'The file is longer than the limit, {answers.limits.max_bytes / 2**20:.3g} MiB. Choose a smaller one.', 413))
  app.register_error_handler(exceptions.HTTPException, lambda error: _failed(error.description, error.code))
  return app


def _failed(message: Any, status: int) -> tuple[dict[str, str], int]:
  """The answer to a request that failed."""
  return {'error': str(message)}, status


class _Quiet(serving.WSGIRequestHandler):
  """Writes no line for each request."""

  def log_request(self, *_) -> None:
    """Writes nothing."""


@contextlib.contextmanager
def running(answers: Answers, port: int = 0) -> Iterator[str]:
  """Serves the page on this machine's loopback address while the block runs, each request in a thread of its own.

  Args:
    answers: answers the photographs.
    port: 0 for any free one.

  Yields:
    The address, http://127.0.0.1:port/.

  Raises:
    UserError: the port is taken.
  """
  try:
    server = serving.ThreadedWSGIServer(_ADDRESS, port, create_app(answers), _Quiet)
  except (OSError, SystemExit) as error:
    raise UserError(f'--port={port}: cannot listen there; choose another one, or 0 for any free one.') from error
  server.daemon_threads = True
  thread = threading.Thread(target=server.serve_forever, daemon=True)
  thread.start()
  try:
    yield f'http://{_ADDRESS}:{server.server_port}/'
  finally:
    server.shutdown()
    server.server_close()
    thread.join()
