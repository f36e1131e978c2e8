"""Entries of the shipped export's signatures: hostile tensors, asked as Python asks and as TensorFlow Serving asks."""
import os
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from dhpe_tf.data import image_files
from dhpe_tf.errors import UserError, brief
from dhpe_tf.inference import predictor
from dhpe_tf.serving import native_session
from tests.data import headers
from tests.fuzz import mutations
from tests.fuzz.cases import Case, Entry

_FLOATS = (0., 1., -1., .5, 1e-40, 1e10, -1e10, 3e38, -3e38, float('nan'), float('inf'), -float('inf'))
_WHOLE = (0, 0, 1, 2, 3, -1, 10**9, 2**31 - 1, -2**31)
_MOST_NUMBERS = 40_000_000  # of a tensor that is made here
_PICTURE_TOKENS = (b'IHDR', b'IDAT', b'PLTE', b'tRNS', b'\xff\xc0', b'\xff\xc2', b'\xff\xda', b'\xff\xd9', b'BM',
                   b'GIF89a', b'RIFF', b'\x89PNG\r\n\x1a\n')


class _Served:
  """Hostile inputs for one signature of the shipped export.

  Args:
    signature: its name.
  """

  def __init__(self, signature: str):
    version = predictor.find_export(predictor.shipped_model())
    self._loaded = tf.saved_model.load(version)
    self._python = self._loaded.signatures[signature]
    self._native = native_session.NativeSession(version)
    self._signature = signature
    self._specs = {name: (spec.dtype.as_numpy_dtype, spec.shape.as_list())
                   for name, spec in self._python.structured_input_signature[1].items()}
    pixels = np.random.default_rng(0).integers(0, 255, [40, 60, 3], np.uint8)
    self._pictures = [image_files.encode(pixels, kind) for kind in ('PNG', 'JPEG', 'BMP', 'GIF')]
    self._bombs = [make(*size) for make in (headers.png_header, headers.bmp_header, headers.jpeg_header)
                   for size in ((50_000, 60_000), (1, 1), (0, 0), (7_000, 7_000))]

  def check(self) -> None:
    """Asks for good inputs both ways."""
    for ask in (self._ask_python, self._ask_native):
      ask(self._good(random.Random(0), 1))

  def __call__(self, chance: random.Random) -> Case:
    """Changes one or two of the inputs, or none."""
    inputs = self._good(chance, chance.choice((1, 1, 2, 3)))
    for _ in range(chance.choice((0, 1, 1, 1, 2))):
      name = chance.choice(sorted(inputs))
      inputs[name] = self._other(name, inputs[name], chance)
    ask = self._ask_python if chance.random() < .4 else self._ask_native
    # A damaged picture is refused in the words of TensorFlow's decoders.
    names = ('',) if self._signature == 'predict_encoded' else (*self._specs, 'finite', 'expected shape')
    return Case(lambda: _check(ask, inputs), names)

  def _good(self, chance: random.Random, count: int) -> dict[str, np.ndarray]:
    """Inputs for some pictures."""
    made = {}
    for name, (dtype, shape) in self._specs.items():
      size = [count if length is None else length for length in shape]
      if np.dtype(dtype) == np.dtype(object):
        made[name] = np.array([chance.choice(self._pictures[:3]) for _ in range(count)], object)
      elif name == 'steps':
        made[name] = np.int32(chance.choice((0, 1, 2)))
      elif name == 'boxes':
        made[name] = np.tile(np.float32([5, 5, 30, 30]), [count, 1])
      else:
        made[name] = np.full(size, .5 if dtype == np.float32 else 0, dtype)
    return made

  def _other(self, name: str, value: np.ndarray, chance: random.Random) -> np.ndarray:
    """Another value of an input."""
    if chance.random() < .35:
      return _reshaped(np.asarray(value), chance)
    if value.dtype == object:
      changed = value.copy()
      for place in np.ndindex(*value.shape):
        changed[place] = self._other_picture(value[place], chance)
      return changed
    if value.dtype == np.int32:
      return np.full(value.shape, chance.choice(_WHOLE), np.int32)
    changed = np.array(value)
    if changed.size and changed.dtype == np.float32:
      if chance.random() < .5:
        changed[...] = chance.choice(_FLOATS)
      else:
        changed.flat[chance.randrange(changed.size)] = chance.choice(_FLOATS)
      if name == 'boxes' and changed.shape[-1:] == (4,) and chance.random() < .5:
        changed[...] = np.float32([chance.choice((*_FLOATS, 30., 60., 1e3, 1e6)) for _ in range(4)])
    return changed

  def _other_picture(self, picture: bytes, chance: random.Random) -> bytes:
    """Another encoded picture."""
    kind = chance.random()
    if kind < .15:
      return chance.choice((b'', b'x', b'\0' * 1000, *self._bombs, *self._pictures))
    return mutations.mutate(picture, range(min(len(picture), 200)) if kind < .6 else range(len(picture)), chance,
                            self._pictures, _PICTURE_TOKENS)

  def _ask_python(self, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """Calls the loaded signature."""
    try:
      return {name: value.numpy() for name, value in self._python(
          **{name: tf.constant(value) for name, value in inputs.items()}).items()}
    except tf.errors.InvalidArgumentError as error:
      raise UserError(brief(error)) from error

  def _ask_native(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Runs the signature in a session of TensorFlow's C interface."""
    try:
      return self._native.run(self._signature, inputs)
    except ValueError as error:
      raise UserError(brief(error)) from error


def _reshaped(value: np.ndarray, chance: random.Random) -> np.ndarray:
  """An array of another shape, filled with the elements of `value` over and over."""
  shape = list(value.shape)
  kind = chance.randrange(7)
  if kind == 0:
    shape = shape[1:]
  elif kind == 1:
    shape = [1, *shape]
  elif kind == 2 and shape:
    shape[chance.randrange(len(shape))] = chance.choice((0, 1, 2, 5, 257, 300))
  elif kind == 3:
    shape = []
  elif kind == 4:
    shape = [0]
  elif kind == 5 and shape:
    axis = chance.randrange(len(shape))
    shape[axis] += chance.choice((-1, 1)) if shape[axis] else 1
  else:
    shape = [chance.choice((0, 1, 2, 3)) for _ in range(chance.randrange(8))]
  if np.prod(shape) > _MOST_NUMBERS or not value.size:
    shape = [0]
  return np.resize(value, shape)


def _check(ask: Callable[[dict], dict], inputs: dict[str, np.ndarray]) -> None:
  """Asks and checks that the answer is finite and has a row for each picture."""
  with warnings.catch_warnings():
    warnings.simplefilter('ignore')
    found = ask(inputs)
  for name, value in found.items():
    assert np.isfinite(value).all(), f'{name} is not finite'
    assert len(value) == len(inputs['images']), f'{name} has {len(value)} rows for {len(inputs["images"])} pictures'


def _entry(signature: str) -> Callable[[str], Entry]:
  def make(folder: str) -> Entry:
    os.chdir(folder)
    return _Served(signature)
  return make


_SIGNATURES = ('serving_default', 'refine', 'predict_encoded', 'predict_encoded_status',
               'predict_hands')
ENTRIES = {f'served_{name}': _entry(name) for name in _SIGNATURES}
ABOUT = {f'served_{name}': f'signature `{name}` of the shipped model' for name in _SIGNATURES}
SLOW = tuple(ENTRIES)
