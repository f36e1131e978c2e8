"""A client of TensorFlow Serving for exported models."""
import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.errors import UserError

_UNLIMITED = [('grpc.max_send_message_length', -1), ('grpc.max_receive_message_length', -1)]


def predict_encoded(address: str, model: str, images: Sequence[bytes], inputs: Optional[Mapping[str, Any]] = None,
                    outputs: Sequence[str] = (), timeout_s: float = 60.) -> dict[str, np.ndarray]:
  """Sends encoded pictures to the signature `predict_encoded` of a server.

  Args:
    address: host:port of its gRPC interface.
    model: name under which it serves the model.
    images: B encoded pictures (JPEG, PNG).
    inputs: what else the signature takes, by name, each with B rows; the model card says what. Zeros are sent for the
      rest, which means that nothing is known: for hands the whole picture, and a right hand.
    outputs: names of the results wanted; all if empty.
    timeout_s: seconds to wait for each of the two calls.

  Returns:
    Results by name, see the model card.

  Raises:
    UserError: no answer, or the server's complaint.
  """
  given = {'images': np.array(list(images), object), **(inputs or {})}
  for name, (dtype, shape) in _inputs_of(address, model, 'predict_encoded', timeout_s).items():
    if name not in given:
      given[name] = np.zeros([len(images), *shape[1:]], dtype)
  return predict(address, model, 'predict_encoded', given, outputs, timeout_s)


def predict(address: str, model: str, signature: str, inputs: Mapping[str, Any], outputs: Sequence[str] = (),
            timeout_s: float = 60.) -> dict[str, np.ndarray]:
  """Calls any signature with all of its inputs; see `predict_encoded`."""
  request = _messages('predict_pb2').PredictRequest(output_filter=outputs)
  request.model_spec.name = model
  request.model_spec.signature_name = signature
  for name, value in inputs.items():
    request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
  response = _call(address, model, lambda stub: stub.Predict(request, timeout=timeout_s))
  return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}


def _inputs_of(address: str, model: str, signature: str, timeout_s: float) -> dict[str, tuple[type, list[int]]]:
  """Types and shapes of a signature's inputs, as the server tells them; -1 for any size."""
  messages = _messages('get_model_metadata_pb2')
  request = messages.GetModelMetadataRequest(metadata_field=['signature_def'])
  request.model_spec.name = model
  response = _call(address, model, lambda stub: stub.GetModelMetadata(request, timeout=timeout_s))
  found = messages.SignatureDefMap()
  response.metadata['signature_def'].Unpack(found)
  if signature not in found.signature_def:
    raise UserError(f'{address}, model {model}: no signature {signature}; it has '
                    f'{", ".join(sorted(found.signature_def))}')
  return {name: (tf.as_dtype(info.dtype).as_numpy_dtype, [dim.size for dim in info.tensor_shape.dim])
          for name, info in found.signature_def[signature].inputs.items()}


def _messages(name: str) -> Any:
  """A module of TensorFlow Serving's messages; raises a UserError where they are not installed."""
  try:
    return importlib.import_module(f'tensorflow_serving.apis.{name}')
  except ImportError as error:
    raise UserError('the client needs tensorflow-serving-api; pip install "dhpe_tf[serving]"') from error


def _call(address: str, model: str, call: Callable[[Any], Any]) -> Any:
  """Calls a server's PredictionService; its complaint becomes a UserError."""
  import grpc
  service = _messages('prediction_service_pb2_grpc')
  try:
    with grpc.insecure_channel(address, options=_UNLIMITED) as channel:
      return call(service.PredictionServiceStub(channel))
  except grpc.RpcError as error:
    raise UserError(f'{address}, model {model}: {error.details()} ({error.code().name}).') from error
