"""Runs a SavedModel by TensorFlow's C++ loader and session, as TensorFlow Serving does, without Python in the model.

It calls the C interface of the library in the tensorflow package. It imports no other module of dhpe_tf, so that a
process without dhpe_tf can use it.
"""
import ctypes
import os
from collections.abc import Collection
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2

_POINTER = ctypes.c_void_p
_STRING = 7  # TF_STRING
_STRING_BYTES = 24  # sizeof(TF_TString)


class _Output(ctypes.Structure):
  """TF_Output: an operation and the index of one of its outputs."""

  _fields_ = [('operation', _POINTER), ('index', ctypes.c_int)]


class _Buffer(ctypes.Structure):
  """TF_Buffer: data and length of a serialized message."""

  _fields_ = [('data', _POINTER), ('length', ctypes.c_size_t), ('deallocator', _POINTER)]


_INVALID_ARGUMENT = 3  # TF_INVALID_ARGUMENT


class RunError(ValueError):
  """A request that TensorFlow refused or could not answer.

  Attributes:
    code: number of TensorFlow's code, which is that of gRPC.
  """

  def __init__(self, code: int, message: str):
    super().__init__(message)
    self.code = code


class NativeSession:
  """A loaded SavedModel.

  Attributes:
    signatures: SignatureDef by name.
  """

  def __init__(self, folder: str, optimize: bool = True):
    """Loads the graph with the tag 'serve'.

    Args:
      folder: of the SavedModel.
      optimize: whether TensorFlow may rewrite the graph of each signature at its first run, which takes seconds.

    Raises:
      RunError: the folder holds no SavedModel that this TensorFlow can run; the message is TensorFlow's.
    """
    self._library = _load_library()
    status = _POINTER(self._library.TF_NewStatus())
    self._graph = _POINTER(self._library.TF_NewGraph())
    options = self._options(optimize)
    buffer = _POINTER(self._library.TF_NewBuffer())
    tags = (ctypes.c_char_p * 1)(b'serve')
    self._session = _POINTER(self._library.TF_LoadSessionFromSavedModel(
        options, None, os.fsencode(folder), tags, 1, self._graph, buffer, status))
    self._library.TF_DeleteSessionOptions(options)
    self._check(status)
    content = ctypes.cast(buffer, ctypes.POINTER(_Buffer)).contents
    meta = meta_graph_pb2.MetaGraphDef.FromString(ctypes.string_at(content.data, content.length))
    self._library.TF_DeleteBuffer(buffer)
    self.signatures = {name: signature for name, signature in meta.signature_def.items() if signature.inputs}

  def run(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Runs a signature.

    Args:
      signature: its name.
      inputs: arrays by name; strings as arrays of bytes objects.

    Returns:
      Its outputs by name.

    Raises:
      RunError: unknown signature or input, or an error reported by TensorFlow.
    """
    spec = self.check(signature, inputs)
    names = sorted(spec.outputs)
    sources = self._endpoints([spec.inputs[name].name for name in inputs])
    targets = self._endpoints([spec.outputs[name].name for name in names])
    given = (_POINTER * len(inputs))(*(self._to_tensor(value, spec.inputs[name].dtype)
                                       for name, value in inputs.items()))
    results = (_POINTER * len(names))()
    status = _POINTER(self._library.TF_NewStatus())
    self._library.TF_SessionRun(self._session, None, sources, given, len(inputs), targets, results, len(names),
                                None, 0, None, status)
    for tensor in given:
      self._free(_POINTER(tensor))
    self._check(status)
    return {name: self._to_array(_POINTER(tensor)) for name, tensor in zip(names, results)}

  def check(self, signature: str, inputs: Collection[str]) -> meta_graph_pb2.SignatureDef:
    """Returns the SignatureDef of a signature; raises a RunError if there is none, or if it takes other inputs."""
    if signature not in self.signatures:
      raise RunError(_INVALID_ARGUMENT, f'no signature {signature!r}; there are {", ".join(sorted(self.signatures))}')
    spec = self.signatures[signature]
    if set(inputs) != set(spec.inputs):
      raise RunError(_INVALID_ARGUMENT, f'{signature} takes {", ".join(sorted(spec.inputs))}; got '
                     f'{", ".join(sorted(inputs))}')
    return spec

  def close(self) -> None:
    """Frees session and graph; nothing may run any more."""
    for function in ('TF_CloseSession', 'TF_DeleteSession'):
      status = _POINTER(self._library.TF_NewStatus())
      getattr(self._library, function)(self._session, status)
      self._library.TF_DeleteStatus(status)
    self._library.TF_DeleteGraph(self._graph)

  def _options(self, optimize: bool) -> _POINTER:
    """New session options; see `__init__`."""
    options = _POINTER(self._library.TF_NewSessionOptions())
    config = config_pb2.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = not optimize
    content, status = config.SerializeToString(), _POINTER(self._library.TF_NewStatus())
    self._library.TF_SetConfig(options, content, ctypes.c_size_t(len(content)), status)
    self._check(status)
    return options

  def _free(self, tensor: _POINTER) -> None:
    """Frees a tensor that was made here. Long texts lie outside of their tensor, which does not free them."""
    if self._library.TF_TensorType(tensor) == _STRING:
      start = self._library.TF_TensorData(tensor)
      for number in range(self._library.TF_TensorElementCount(tensor)):
        self._library.TF_StringDealloc(_POINTER(start + _STRING_BYTES * number))
    self._library.TF_DeleteTensor(tensor)

  def _endpoints(self, names: list[str]) -> Any:
    """Converts names 'operation:index' to an array of TF_Output."""
    pairs = [name.split(':') for name in names]
    find = self._library.TF_GraphOperationByName
    return (_Output * len(names))(*(_Output(find(self._graph, name.encode()), int(index)) for name, index in pairs))

  def _to_tensor(self, value: np.ndarray, kind: int) -> int:
    """Copies an array to a new TF_Tensor of type `kind`, a DataType number; returns its address."""
    if kind == _STRING:
      return self._to_string_tensor(np.asarray(value, object))
    # np.ascontiguousarray would give a scalar an axis.
    value = np.asarray(value, tf.dtypes.as_dtype(kind).as_numpy_dtype, order='C')
    tensor = self._allocate(kind, value.shape, value.nbytes)
    ctypes.memmove(self._library.TF_TensorData(_POINTER(tensor)), value.ctypes.data, value.nbytes)
    return tensor

  def _to_string_tensor(self, values: np.ndarray) -> int:
    """Copies an array of bytes objects to a new string tensor; returns its address."""
    tensor = self._allocate(_STRING, values.shape, _STRING_BYTES * values.size)
    start = self._library.TF_TensorData(_POINTER(tensor))
    for number, text in enumerate(values.ravel()):
      place = _POINTER(start + _STRING_BYTES * number)
      self._library.TF_StringInit(place)
      self._library.TF_StringCopy(place, text, len(text))
    return tensor

  def _allocate(self, kind: int, shape: tuple[int, ...], size: int) -> int:
    """Allocates a TF_Tensor of a type, shape and size in bytes; returns its address."""
    return self._library.TF_AllocateTensor(kind, (ctypes.c_int64 * len(shape))(*shape), len(shape), size)

  def _to_array(self, tensor: _POINTER) -> np.ndarray:
    """Copies a numeric tensor to an array and frees the tensor."""
    shape = [self._library.TF_Dim(tensor, axis) for axis in range(self._library.TF_NumDims(tensor))]
    kind = tf.dtypes.as_dtype(self._library.TF_TensorType(tensor)).as_numpy_dtype
    data = ctypes.string_at(self._library.TF_TensorData(tensor), self._library.TF_TensorByteSize(tensor))
    self._library.TF_DeleteTensor(tensor)
    return np.frombuffer(data, kind).reshape(shape)

  def _check(self, status: _POINTER) -> None:
    """Frees a TF_Status; raises a RunError if it holds an error."""
    code = self._library.TF_GetCode(status)
    message = self._library.TF_Message(status).decode(errors='replace')
    self._library.TF_DeleteStatus(status)
    if code:
      raise RunError(code, message)


def _load_library() -> ctypes.CDLL:
  """Loads TensorFlow's C library and declares its types; undeclared pointers would be cut to 32 bits."""
  folder = os.path.dirname(tf.__file__)
  names = [name for name in os.listdir(folder) if name.startswith(('libtensorflow_cc.', 'libtensorflow.'))]
  if not names:
    raise ValueError(f'{folder} holds no C library of TensorFlow; install the tensorflow package of Linux.')
  library = ctypes.CDLL(os.path.join(folder, names[0]))
  for function in ('TF_NewStatus', 'TF_NewGraph', 'TF_NewSessionOptions', 'TF_NewBuffer', 'TF_GraphOperationByName',
                   'TF_LoadSessionFromSavedModel', 'TF_AllocateTensor', 'TF_TensorData'):
    getattr(library, function).restype = _POINTER
  library.TF_Message.restype = ctypes.c_char_p
  library.TF_TensorByteSize.restype = ctypes.c_size_t
  library.TF_Dim.restype = library.TF_TensorElementCount.restype = ctypes.c_int64
  library.TF_AllocateTensor.argtypes = [ctypes.c_int, _POINTER, ctypes.c_int, ctypes.c_size_t]
  library.TF_StringCopy.argtypes = [_POINTER, ctypes.c_char_p, ctypes.c_size_t]
  return library
