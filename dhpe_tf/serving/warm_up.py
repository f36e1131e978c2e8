"""Warm-up requests, which a server runs before it offers a version, so that no client waits for the first run.

TensorFlow Serving replays assets.extra/tf_serving_warmup_requests, a TFRecord file of PredictionLog messages. They are
encoded here by their field numbers, which the wire format of protocol buffers fixes, so that an export needs no package
beside TensorFlow:

  PredictionLog   6 predict_log
  PredictLog      1 request
  PredictRequest  1 model_spec, 2 inputs (a map: entries of 1 key, 2 TensorProto)
  ModelSpec       1 name, 3 signature_name
"""
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

FILE = os.path.join('assets.extra', 'tf_serving_warmup_requests')
Requests = Sequence[tuple[str, Mapping[str, Any]]]  # signature and inputs of each

_UNKNOWN_SIZE = 64  # of inputs whose sizes the signature leaves open
_BYTES = 2  # the wire type of texts, bytes and messages


def inputs(specs: Mapping[str, tf.TensorSpec], rows: Sequence[str], examples: Mapping[str, Any]) -> dict[str, Any]:
  """Makes inputs for one instance: the examples, and zeros for the rest.

  Args:
    specs: of the signature.
    rows: names of the inputs with one row for each instance.
    examples: values, without the axis of rows, for inputs that may not be zeros.

  Returns:
    Arrays by name.
  """
  found = {}
  for name, spec in specs.items():
    sizes = [_UNKNOWN_SIZE if size is None else size for size in spec.shape]
    if name in rows:
      sizes[0] = 1
    value = np.asarray(examples.get(name, 0), spec.dtype.as_numpy_dtype)
    found[name] = np.array(np.broadcast_to(value, sizes))
  return found


def write(path: str, model: str, requests: Requests) -> None:
  """Writes the file of requests.

  Args:
    path: the file.
    model: name of the model; servers replay the requests whatever it is.
    requests: signature and inputs of each.
  """
  with tf.io.TFRecordWriter(path) as writer:
    for signature, given in requests:
      writer.write(_prediction_log(model, signature, given))


def _prediction_log(model: str, signature: str, given: Mapping[str, Any]) -> bytes:
  """A PredictionLog with one request."""
  spec = _field(1, model.encode()) + _field(3, signature.encode())
  entries = [_field(2, _field(1, name.encode()) + _field(2, _tensor(np.asarray(value)).SerializeToString()))
             for name, value in given.items()]
  request = _field(1, spec) + b''.join(entries)
  return _field(6, _field(1, request))


def _tensor(value: np.ndarray) -> Any:
  """A TensorProto; of numbers that are all the same it holds one, which by its definition stands for all."""
  if value.size > 1 and value.dtype != object and np.all(value == value.flat[0]):
    return tf.make_tensor_proto(value.flat[0], value.dtype, value.shape)
  return tf.make_tensor_proto(value)


def _field(number: int, content: bytes) -> bytes:
  """A field of a message: its tag, its length and its content."""
  return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
  """A whole number in groups of seven bits, the lowest first; the eighth bit says that more follow."""
  groups = bytearray()
  while value > 127:
    groups.append(value & 127 | 128)
    value >>= 7
  return bytes([*groups, value])
