"""The two ways to a server of TensorFlow Serving's interface: gRPC and REST. Each call is tried once; see `client`."""
import base64
import http.client
import importlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from dhpe_tf.errors import UserError

UNAVAILABLE = 'UNAVAILABLE'
_GRPC_OPTIONS = [('grpc.max_send_message_length', -1), ('grpc.max_receive_message_length', -1),
                 ('grpc.initial_reconnect_backoff_ms', 100), ('grpc.min_reconnect_backoff_ms', 100),
                 ('grpc.max_reconnect_backoff_ms', 1000)]
# Code of gRPC by HTTP status.
_CODES = {400: 'INVALID_ARGUMENT', 404: 'NOT_FOUND', 429: 'RESOURCE_EXHAUSTED', 503: UNAVAILABLE,
          504: 'DEADLINE_EXCEEDED'}


class CallError(Exception):
  """A call without an answer.

  Attributes:
    code: name of gRPC's status code.
    details: the server's words.
  """

  def __init__(self, code: str, details: str):
    super().__init__(f'{details} ({code})')
    self.code, self.details = code, details


class SignatureSpec(NamedTuple):
  """Types and shapes of a signature's inputs and outputs by name; sizes None may be any."""

  inputs: dict[str, tf.TensorSpec]
  outputs: dict[str, tf.TensorSpec]


class Grpc:
  """Calls by gRPC, on one channel."""

  def __init__(self, address: str, model: str):
    """Opens the channel; the first call connects.

    Args:
      address: host:port.
      model: name under which the server has the model.
    """
    import grpc
    self._model, self._error = model, grpc.RpcError
    self._channel = grpc.insecure_channel(address, options=_GRPC_OPTIONS)
    self._stub = _messages('prediction_service_pb2_grpc').PredictionServiceStub(self._channel)

  def close(self) -> None:
    """Closes the channel."""
    self._channel.close()

  def predict(self, signature: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str],
              timeout_s: float) -> dict[str, np.ndarray]:
    """Calls a signature.

    Args:
      signature: its name.
      inputs: all of them.
      outputs: names of those wanted; all if empty.
      timeout_s: deadline.

    Raises:
      CallError: no answer.
    """
    request = _messages('predict_pb2').PredictRequest(output_filter=outputs)
    request.model_spec.name = self._model
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
      request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    response = self._call(self._stub.Predict, request, timeout_s)
    return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}

  def signatures(self, timeout_s: float) -> dict[str, SignatureSpec]:
    """Asks for the signatures, by name; raises `CallError`."""
    messages = _messages('get_model_metadata_pb2')
    request = messages.GetModelMetadataRequest(metadata_field=['signature_def'])
    request.model_spec.name = self._model
    response = self._call(self._stub.GetModelMetadata, request, timeout_s)
    found = messages.SignatureDefMap()
    response.metadata['signature_def'].Unpack(found)

    def specs(infos: Any) -> dict[str, tf.TensorSpec]:
      return {name: tf.TensorSpec([_size(dim.size) for dim in info.tensor_shape.dim], tf.as_dtype(info.dtype), name)
              for name, info in infos.items()}
    return {name: SignatureSpec(specs(definition.inputs), specs(definition.outputs))
            for name, definition in found.signature_def.items()}

  def _call(self, method: Any, request: Any, timeout_s: float) -> Any:
    """Calls a method of the stub."""
    try:
      return method(request, timeout=timeout_s)
    except self._error as error:
      # The client cancels nothing itself, so the server did, as it ended.
      code = error.code().name
      raise CallError(UNAVAILABLE if code == 'CANCELLED' else code, error.details()) from error


class Rest:
  """Calls by REST, each on a connection of its own."""

  def __init__(self, address: str, model: str):
    """Keeps the address.

    Args:
      address: host:port.
      model: name under which the server has the model.
    """
    self._address, self._path = address, f'/v1/models/{model}'
    self._outputs: dict[str, dict[str, tf.TensorSpec]] = {}

  def close(self) -> None:
    """Does nothing: no connection stays open."""

  def predict(self, signature: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str],
              timeout_s: float) -> dict[str, np.ndarray]:
    """Calls a signature; see `Grpc.predict`. The server sends all outputs, whatever is wanted."""
    body = {'signature_name': signature, 'inputs': {name: _to_json(value) for name, value in inputs.items()}}
    specs = self._outputs_of(signature, timeout_s)
    found = self._request('POST', ':predict', timeout_s, json.dumps(body))['outputs']
    if len(specs) == 1:
      found = {next(iter(specs)): found}
    return {name: np.asarray(found[name], specs[name].dtype.as_numpy_dtype) for name in outputs or found}

  def signatures(self, timeout_s: float) -> dict[str, SignatureSpec]:
    """Asks for the signatures, by name; raises `CallError`."""
    found = self._request('GET', '/metadata', timeout_s)['metadata']['signature_def']['signature_def']

    def specs(infos: Any) -> dict[str, tf.TensorSpec]:
      return {name: tf.TensorSpec([_size(int(dim['size'])) for dim in info['tensor_shape'].get('dim', [])],
                                  tf.as_dtype(info['dtype'].removeprefix('DT_').lower()), name)
              for name, info in infos.items()}
    return {name: SignatureSpec(specs(definition['inputs']), specs(definition['outputs']))
            for name, definition in found.items() if definition.get('inputs')}

  def _outputs_of(self, signature: str, timeout_s: float) -> dict[str, tf.TensorSpec]:
    """The outputs of a signature, asked for once."""
    if signature not in self._outputs:
      found = self.signatures(timeout_s)
      if signature not in found:
        raise CallError('INVALID_ARGUMENT', f'no signature {signature!r}; there are {", ".join(sorted(found))}')
      self._outputs[signature] = found[signature].outputs
    return self._outputs[signature]

  def _request(self, method: str, path: str, timeout_s: float, body: Any = None) -> dict[str, Any]:
    """Sends a request and returns the JSON of its answer; raises `CallError`."""
    connection = http.client.HTTPConnection(self._address, timeout=timeout_s)
    try:
      connection.request(method, self._path + path, body, {'Content-Type': 'application/json'})
      response = connection.getresponse()
      text = response.read().decode(errors='replace')
    except TimeoutError as error:
      raise CallError('DEADLINE_EXCEEDED', f'no answer within {timeout_s:.3g} s') from error
    except (OSError, http.client.HTTPException) as error:
      raise CallError(UNAVAILABLE, str(error) or type(error).__name__) from error
    finally:
      connection.close()
    try:
      content = json.loads(text)
    except ValueError:
      content = {'error': text[:200]}
    if response.status != 200:
      raise CallError(_CODES.get(response.status, 'INTERNAL'), str(content.get('error', response.reason)))
    return content


INTERFACES = {'grpc': Grpc, 'rest': Rest}


def _size(size: int) -> Any:
  """A size of a TensorShapeProto, None for -1."""
  return None if size < 0 else size


def _to_json(value: Any) -> Any:
  """Nested lists of an array's numbers; bytes as {"b64": ...}."""
  # Bytes stay what they are: as an array of their own they would lose zeros at their end.
  if isinstance(value, bytes):
    return {'b64': base64.b64encode(value).decode()}
  return [_to_json(part) for part in value] if value.dtype == object else value.tolist()


def _messages(name: str) -> Any:
  """A module of TensorFlow Serving's messages; raises a UserError where they are not installed."""
  try:
    return importlib.import_module(f'tensorflow_serving.apis.{name}')
  except ImportError as error:
    raise UserError('the client needs tensorflow-serving-api; pip install "dhpe_tf[serving]"') from error
