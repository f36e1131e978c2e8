"""A client of TensorFlow Serving for exported models."""
from collections.abc import Sequence
from typing import Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.errors import UserError


def predict_encoded(address: str, model: str, images: Sequence[bytes], boxes: Optional[np.ndarray] = None,
                    is_left: Optional[np.ndarray] = None, outputs: Sequence[str] = (),
                    timeout_s: float = 60.) -> dict[str, np.ndarray]:
  """Asks a server for the hands in encoded pictures.

  Args:
    address: host:port of its gRPC interface.
    model: name under which it serves the model.
    images: B encoded pictures (JPEG, PNG).
    boxes: [B, 4] left, top, width, height in pixels; None for the whole pictures.
    is_left: [B] bool; None for right hands.
    outputs: names of the wanted results; empty for all.
    timeout_s: seconds to wait.

  Returns:
    Results by name; the model card documents them.

  Raises:
    UserError: no answer, or an error reported by the server.
  """
  count = len(images)
  inputs = {'images': np.array(list(images), object),
            'boxes': np.zeros([count, 4], np.float32) if boxes is None else np.asarray(boxes, np.float32),
            'is_left': np.zeros([count], bool) if is_left is None else np.asarray(is_left, bool)}
  return predict(address, model, 'predict_encoded', inputs, outputs, timeout_s)


def predict(address: str, model: str, signature: str, inputs: dict[str, np.ndarray], outputs: Sequence[str] = (),
            timeout_s: float = 60.) -> dict[str, np.ndarray]:
  """Calls any signature of a served model.

  Args:
    address: host:port of the server's gRPC interface.
    model: name under which it serves the model.
    signature: name of the signature.
    inputs: arrays by name.
    outputs: names of the wanted results; empty for all.
    timeout_s: seconds to wait.

  Returns:
    Results by name.

  Raises:
    UserError: tensorflow-serving-api is missing, no answer, or an error reported by the server.
  """
  try:
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
  except ImportError as error:
    raise UserError('the client needs tensorflow-serving-api; pip install "dhpe_tf[serving]"') from error
  request = predict_pb2.PredictRequest(output_filter=outputs)
  request.model_spec.name = model
  request.model_spec.signature_name = signature
  for name, value in inputs.items():
    request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
  unlimited = [('grpc.max_send_message_length', -1), ('grpc.max_receive_message_length', -1)]
  try:
    with grpc.insecure_channel(address, options=unlimited) as channel:
      response = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request, timeout=timeout_s)
  except grpc.RpcError as error:
    raise UserError(f'{address}, model {model}: {error.details()} ({error.code().name}).') from error
  return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}
