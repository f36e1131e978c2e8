"""Serves a page on this machine that lays meshes over the hands of a photograph or of the webcam.

  python -m dhpe_tf.demo                             a model server is started too; open http://127.0.0.1:8080/
  python -m dhpe_tf.demo --server=localhost:8501/hands    asks a server that runs, such as TensorFlow Serving

The page asks the model by TensorFlow Serving's REST interface, POST /v1/models/<name>:predict. Without --server the
loopback server of this package answers there, on the shipped model or that of --model. Nothing leaves this machine,
unless --server names another. It needs the extra [demo]: pip install 'dhpe_tf[demo]'.
"""
import contextlib
import threading
from collections.abc import Iterator

from absl import flags

from dhpe_tf import command_line
from dhpe_tf.errors import UserError

_FLAGS = flags.FlagValues()
flags.DEFINE_string('server', None, 'host:port of the REST interface of a server that runs, with /name where it has '
                    'the model under another name than that of the folder; without it one is started.',
                    flag_values=_FLAGS)
flags.DEFINE_string('model', None, 'Export to serve, or the one that --server has; without it the shipped model.',
                    flag_values=_FLAGS)
flags.DEFINE_integer('port', 8080, 'Port of the page, 0 for any free one.', lower_bound=0, upper_bound=65535,
                     flag_values=_FLAGS)
flags.DEFINE_multi_string('gin_param', [], 'Setting, such as "demo.Limits.max_bytes = 1000000".', flag_values=_FLAGS)


def main(argv: list[str]) -> None:
  """Serves the page until Ctrl-C."""
  del argv
  try:
    import flask  # noqa: F401
    import tensorflow_serving  # noqa: F401
  except ImportError as error:
    raise UserError(f"the page needs {error.name}; pip install 'dhpe_tf[demo]'") from error
  from dhpe_tf import configuration
  from dhpe_tf.demo import web
  from dhpe_tf.demo.answers import Answers, Limits, check
  from dhpe_tf.inference import predictor, remote
  configuration.load(gin_params=_FLAGS.gin_param)
  model = predictor.find_export(_FLAGS.model or predictor.shipped_model())
  if not model:
    raise UserError(f'--model={_FLAGS.model}: holds no export; name the folder of an export.')
  card = predictor.read_card(model)
  check(card, card['signatures'], model)
  with _server(model) as server:
    connected = remote.connect(server, model, interface='rest')
    answers = Answers(connected, Limits())
    answers.warm_up()
    with web.running(answers, _FLAGS.port) as address:
      print(f'open {address} (Ctrl-C ends it; the model answers at http://{server.partition("/")[0]})', flush=True)
      threading.Event().wait()


@contextlib.contextmanager
def _server(model: str) -> Iterator[str]:
  """The address of --server, or of a server that is started for the block."""
  if _FLAGS.server:
    yield _FLAGS.server
    return
  from dhpe_tf.serving import loopback_server
  started = loopback_server.serve(model, warm=False)
  try:
    yield f'127.0.0.1:{started.rest_port}'
  finally:
    started.stop()


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
