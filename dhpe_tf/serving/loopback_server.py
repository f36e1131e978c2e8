"""A small server for exported models with TensorFlow Serving's gRPC interface, to try clients on one machine.

  python -m dhpe_tf.serving.loopback_server exported/quickstart/1 8500

It runs the model as TensorFlow Serving does (C++ loader and session), but neither batches requests nor reloads
versions: for production run TensorFlow Serving itself. Like native_session it imports no other module of dhpe_tf.
"""
import os
import sys
from concurrent import futures

import grpc
import tensorflow as tf

from .native_session import NativeSession

_UNLIMITED = [('grpc.max_send_message_length', -1), ('grpc.max_receive_message_length', -1)]


class PredictionService:
  """Answers Predict and GetModelMetadata for one version of one model."""

  def __init__(self, folder: str):
    """Loads the model.

    Args:
      folder: .../<model name>/<version>.
    """
    self._name = os.path.basename(os.path.dirname(os.path.abspath(folder)))
    self._version = int(os.path.basename(os.path.abspath(folder)))
    self._session = NativeSession(folder)

  def predict(self, request, context):
    """Answers a PredictRequest: runs its signature and returns the wanted outputs, or aborts with a gRPC error."""
    from tensorflow_serving.apis import predict_pb2
    self._check(request.model_spec, context)
    inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
    try:
      outputs = self._session.run(request.model_spec.signature_name or 'serving_default', inputs)
    except ValueError as error:
      context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
    wanted = set(request.output_filter) or set(outputs)
    if not wanted <= set(outputs):
      context.abort(grpc.StatusCode.INVALID_ARGUMENT, f'no outputs {", ".join(sorted(wanted - set(outputs)))}')
    response = predict_pb2.PredictResponse()
    self._identify(response.model_spec)
    for name in wanted:
      response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name]))
    return response

  def get_model_metadata(self, request, context):
    """Answers a GetModelMetadataRequest with the signatures of the model."""
    from tensorflow_serving.apis import get_model_metadata_pb2
    self._check(request.model_spec, context)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    self._identify(response.model_spec)
    signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=self._session.signatures)
    response.metadata['signature_def'].Pack(signatures)
    return response

  def _check(self, spec, context) -> None:
    """Aborts with NOT_FOUND if the request names another model or version."""
    if spec.name != self._name or (spec.HasField('version') and spec.version.value != self._version):
      context.abort(grpc.StatusCode.NOT_FOUND, f'no model {spec.name}; there is {self._name} version {self._version}')

  def _identify(self, spec) -> None:
    """Writes name and version of the model into a ModelSpec."""
    spec.name = self._name
    spec.version.value = self._version


def serve(folder: str, port: int = 0) -> tuple[grpc.Server, int]:
  """Starts a server on this machine's loopback address.

  Args:
    folder: .../<model name>/<version>.
    port: 0 for any free port.

  Returns:
    The server and its port.
  """
  from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

  service = PredictionService(folder)
  server = grpc.server(futures.ThreadPoolExecutor(max_workers=2), options=_UNLIMITED)
  handlers = {name: grpc.unary_unary_rpc_method_handler(method, request.FromString, response.SerializeToString)
              for name, method, request, response in (
                  ('Predict', service.predict, predict_pb2.PredictRequest, predict_pb2.PredictResponse),
                  ('GetModelMetadata', service.get_model_metadata, get_model_metadata_pb2.GetModelMetadataRequest,
                   get_model_metadata_pb2.GetModelMetadataResponse))}
  server.add_generic_rpc_handlers(
      (grpc.method_handlers_generic_handler('tensorflow.serving.PredictionService', handlers),))
  port = server.add_insecure_port(f'127.0.0.1:{port}')
  server.start()
  return server, port


if __name__ == '__main__':
  running, number = serve(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
  print(f'serving on 127.0.0.1:{number}', flush=True)
  running.wait_for_termination()
