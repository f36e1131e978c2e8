"""A small server for exported models with TensorFlow Serving's gRPC and REST interfaces, to try clients on one machine.

  python -m dhpe_tf.serving.loopback_server exported/dhpe_hand --port=8500 --rest_port=8501 --batching

It runs the model as TensorFlow Serving does (C++ loader and session, warm-up requests, request batching, the newest
version of a folder), but in Python and on the loopback address: for production run TensorFlow Serving itself. Like
native_session it imports no other module of dhpe_tf than its neighbours.
"""
import argparse
import signal
import threading
from concurrent import futures
from typing import Any, NamedTuple, Optional

import grpc
import tensorflow as tf

from . import rest_interface
from .batching import Batching, ServingError
from .served_model import ServedModel

_OPTIONS = [('grpc.max_send_message_length', -1), ('grpc.max_receive_message_length', -1), ('grpc.so_reuseport', 0)]
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_WORKERS = 64  # requests that wait for their batches at the same time


class PredictionService:
  """Answers Predict and GetModelMetadata for one model."""

  def __init__(self, model: ServedModel):
    """Keeps the model."""
    self._model = model

  def predict(self, request: Any, context: grpc.ServicerContext) -> Any:
    """Answers a PredictRequest: runs its signature and returns the wanted outputs, or aborts with a gRPC error."""
    from tensorflow_serving.apis import predict_pb2
    spec = request.model_spec
    try:
      inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
      version, outputs = self._model.predict(spec.name, _version(spec), spec.signature_name, inputs,
                                             request.output_filter)
    except ServingError as error:
      context.abort(_CODES[error.code], str(error))
    except (ValueError, TypeError) as error:  # a damaged tensor
      context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
    response = predict_pb2.PredictResponse()
    self._identify(response.model_spec, version)
    for name, value in outputs.items():
      response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
    return response

  def get_model_metadata(self, request: Any, context: grpc.ServicerContext) -> Any:
    """Answers a GetModelMetadataRequest with the signatures of the model."""
    from tensorflow_serving.apis import get_model_metadata_pb2
    spec = request.model_spec
    try:
      version, signatures = self._model.signatures(spec.name, _version(spec))
    except ServingError as error:
      context.abort(_CODES[error.code], str(error))
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    self._identify(response.model_spec, version)
    response.metadata['signature_def'].Pack(get_model_metadata_pb2.SignatureDefMap(signature_def=signatures))
    return response

  def _identify(self, spec: Any, version: int) -> None:
    """Writes name and version of the model into a ModelSpec."""
    spec.name = self._model.name
    spec.version.value = version


class Running(NamedTuple):
  """A server that runs.

  Attributes:
    model: what answers.
    grpc_server: of the gRPC interface.
    rest_server: of the REST interface.
    port: of the gRPC interface.
    rest_port: of the REST interface.
  """

  model: ServedModel
  grpc_server: grpc.Server
  rest_server: Any
  port: int
  rest_port: int

  def stop(self, grace_s: Optional[float] = None) -> None:
    """Refuses new requests and ends after those that run, at the latest after `grace_s` seconds; None for at once."""
    self.grpc_server.stop(grace_s).wait()
    self.rest_server.shutdown()
    self.rest_server.server_close()
    self.model.close()


def serve(folder: str, port: int = 0, rest_port: int = 0, batching: Optional[Batching] = None,
          warm: bool = True) -> Running:
  """Starts a server on this machine's loopback address.

  Args:
    folder: `.../<model name>` or `.../<model name>/<version>`.
    port: of gRPC, 0 for any free one.
    rest_port: of REST, 0 for any free one.
    batching: settings of request batching; None for none.
    warm: whether to optimize and to warm up before the first request, see `ServedModel`.
  """
  from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

  model = ServedModel(folder, batching, warm=warm)
  service = PredictionService(model)
  server = grpc.server(futures.ThreadPoolExecutor(max_workers=_WORKERS), options=_OPTIONS)
  handlers = {name: grpc.unary_unary_rpc_method_handler(method, request.FromString, response.SerializeToString)
              for name, method, request, response in (
                  ('Predict', service.predict, predict_pb2.PredictRequest, predict_pb2.PredictResponse),
                  ('GetModelMetadata', service.get_model_metadata, get_model_metadata_pb2.GetModelMetadataRequest,
                   get_model_metadata_pb2.GetModelMetadataResponse))}
  server.add_generic_rpc_handlers(
      (grpc.method_handlers_generic_handler('tensorflow.serving.PredictionService', handlers),))
  port = server.add_insecure_port(f'127.0.0.1:{port}')
  server.start()
  rest_server = rest_interface.serve(model, rest_port)
  threading.Thread(target=rest_server.serve_forever, daemon=True).start()
  return Running(model, server, rest_server, port, rest_server.server_address[1])


def _version(spec: Any) -> Optional[int]:
  """The version that a ModelSpec asks for, or None."""
  return spec.version.value if spec.HasField('version') else None


def main() -> None:
  """Serves the model of the command line until the process is told to end."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('folder', help="folder of a model's versions, or one version")
  parser.add_argument('--port', type=int, default=0, help='of the gRPC interface; 0 for any free one')
  parser.add_argument('--rest_port', type=int, default=0, help='of the REST interface; 0 for any free one')
  parser.add_argument('--batching', action='store_true', help='batch requests')
  parser.add_argument('--max_batch_size', type=int, default=Batching().max_batch_size)
  parser.add_argument('--batch_timeout_s', type=float, default=Batching().batch_timeout_s)
  given = parser.parse_args()
  batching = Batching(given.max_batch_size, given.batch_timeout_s) if given.batching else None
  running = serve(given.folder, given.port, given.rest_port, batching)
  print(f'serving on 127.0.0.1:{running.port} and 127.0.0.1:{running.rest_port}', flush=True)
  ended = threading.Event()
  signal.signal(signal.SIGTERM, lambda *_: ended.set())
  signal.signal(signal.SIGINT, lambda *_: ended.set())
  # Handlers run in this thread, which a signal to another one does not wake.
  while not ended.wait(timeout=0.2):
    pass
  running.stop(grace_s=10.)


if __name__ == '__main__':
  main()
