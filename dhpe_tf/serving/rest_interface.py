"""TensorFlow Serving's REST interface to a served model, in its column format.

  GET  /v1/models/<name>[/versions/<number>]            the state of the version
  GET  /v1/models/<name>[/versions/<number>]/metadata   its signatures
  POST /v1/models/<name>[/versions/<number>]:predict    {"signature_name": ..., "inputs": {name: value}}

Texts and bytes are written {"b64": ...}. Like native_session this file imports nothing of dhpe_tf.
"""
import base64
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional

import numpy as np
import tensorflow as tf
from google.protobuf import json_format

from .batching import INVALID_ARGUMENT, ServingError
from .served_model import NOT_FOUND, ServedModel

_PATH = re.compile(r'/v1/models/([^/:]+)(?:/versions/(\d+))?(/metadata|:predict)?')
# HTTP status by the code of gRPC; 500 for others.
_STATUS = {INVALID_ARGUMENT: 400, 9: 400, 11: 400, NOT_FOUND: 404, 8: 429, 14: 503}
_MOST_BYTES = 1 << 30


class _Server(ThreadingHTTPServer):
  """Answers each connection in a thread of its own."""

  daemon_threads = True
  request_queue_size = 128

  def __init__(self, model: ServedModel, port: int):
    super().__init__(('127.0.0.1', port), _Handler)
    self.model = model


class _Handler(BaseHTTPRequestHandler):
  """Answers the requests of one connection."""

  protocol_version = 'HTTP/1.1'

  def do_GET(self) -> None:
    """Answers a question about the model."""
    self._answer(None)

  def do_POST(self) -> None:
    """Answers a prediction."""
    self._answer(self.rfile.read(min(int(self.headers.get('Content-Length', 0)), _MOST_BYTES)))

  def log_message(self, *_) -> None:
    """Writes no line for each request."""

  def _answer(self, body: Optional[bytes]) -> None:
    """Sends what `_content` finds, or an error by its HTTP status."""
    try:
      status, content = 200, _content(self.server.model, self.path, body)
    except ServingError as error:
      status, content = _STATUS.get(error.code, 500), {'error': str(error)}
    data = json.dumps(content).encode()
    self.send_response(status)
    self.send_header('Content-Type', 'application/json')
    self.send_header('Content-Length', str(len(data)))
    self.end_headers()
    self.wfile.write(data)


def serve(model: ServedModel, port: int = 0) -> ThreadingHTTPServer:
  """Returns a server on this machine's loopback address; call its `serve_forever` in a thread.

  Args:
    model: what answers.
    port: 0 for any free port, see `server_address`.
  """
  return _Server(model, port)


def _content(model: ServedModel, path: str, body: Optional[bytes]) -> dict[str, Any]:
  """The answer to a request.

  Args:
    model: what answers.
    path: of the request.
    body: of a POST request; None for GET.

  Raises:
    ServingError: there is no answer.
  """
  found = _PATH.fullmatch(path)
  if not found or (found[3] == ':predict') != (body is not None):
    raise ServingError(NOT_FOUND, f'Malformed request: {path}')
  name, version = found[1], int(found[2]) if found[2] else None
  if body is not None:
    return _predict(model, name, version, body)
  number, signatures = model.signatures(name, version)
  if found[3] is None:
    return {'model_version_status': [{'version': str(number), 'state': 'AVAILABLE',
                                      'status': {'error_code': 'OK', 'error_message': ''}}]}
  described = {key: json_format.MessageToDict(value, preserving_proto_field_name=True)
               for key, value in signatures.items()}
  return {'model_spec': {'name': name, 'signature_name': '', 'version': str(number)},
          'metadata': {'signature_def': {'signature_def': described}}}


def _predict(model: ServedModel, name: str, version: Optional[int], body: bytes) -> dict[str, Any]:
  """Answers a prediction; see `_content`."""
  try:
    request = json.loads(body)
    given, signature = request['inputs'], request.get('signature_name', 'serving_default')
    signatures = model.signatures(name, version)[1]
    infos = signatures[signature].inputs if signature in signatures else {}
    if not isinstance(given, dict) and len(infos) == 1:  # the value alone
      given = {next(iter(infos)): given}
    inputs = {key: _to_array(value, infos[key].dtype) if key in infos else np.asarray(value)
              for key, value in given.items()}
  except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
    if isinstance(error, ServingError):
      raise
    raise ServingError(INVALID_ARGUMENT, f'JSON: not a request of column format ({error!r})') from error
  outputs = {key: value.tolist() for key, value in model.predict(name, version, signature, inputs)[1].items()}
  return {'outputs': next(iter(outputs.values())) if len(outputs) == 1 else outputs}


def _to_array(value: Any, kind: int) -> np.ndarray:
  """Converts nested lists of JSON to an array of a DataType; raises a ValueError where rows differ in length."""
  if tf.as_dtype(kind) == tf.string:
    texts = np.asarray(_decoded(value), object)
    if not all(isinstance(text, bytes) for text in texts.ravel()):
      raise ValueError('texts must have equally many in every row')
    return texts
  return np.asarray(value, tf.as_dtype(kind).as_numpy_dtype)


def _decoded(value: Any) -> Any:
  """Nested lists of texts with the bytes that {"b64": ...} stands for."""
  if isinstance(value, list):
    return [_decoded(part) for part in value]
  return base64.b64decode(value['b64']) if isinstance(value, dict) else value.encode()
