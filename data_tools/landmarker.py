"""Reads the networks of MediaPipe Hands out of mediapipe's wheel, for `convert_landmarker`.

The wheel is only read as a zip file, and its TensorFlow Lite files only as flatbuffers.
"""
import multiprocessing
import pathlib
import zipfile
from collections.abc import Callable
from concurrent import futures
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from dhpe_tf import files
from dhpe_tf.errors import UserError, naming
from dhpe_tf.networks import landmark_net, palm_net, stored_weights

_RANDOM_PICTURES = 3
_GET_IT = 'get the wheel of mediapipe 0.10.21 by `pip download mediapipe==0.10.21 --no-deps`'
_MOST_WHEEL_BYTES = 1 << 28  # the wheel has 35 MB
_MOST_BYTES = 1 << 26  # of a network in the wheel; the larger one has 5.5 MB


class Layer(NamedTuple):
  """An operator with weights: `kind` is its name in TensorFlow Lite's schema; arrays are in its layout, float16."""

  kind: str
  arrays: list[np.ndarray]


class Source(NamedTuple):
  """A network in the wheel.

  Attributes:
    path: of the file in the wheel.
    weights: path of the npz file that the package ships.
    build: makes the Keras model; `build(weights=None)` with random weights.
    names: of the layers with weights, in the order of the file's operators.
    outputs: the Keras model's answers as a list in the order of the file's outputs, and shaped like them.
  """

  path: str
  weights: pathlib.Path
  build: Callable[..., tf.keras.Model]
  names: Callable[[], list[str]]
  outputs: Callable[[dict], list[tf.Tensor]]


def landmark_names() -> list[str]:
  """The landmark network's layers with weights, in the file's order."""
  names = ['stem']
  for number, block in enumerate(landmark_net.BLOCKS, 1):
    names += [f'block{number}_expand'] if block.expansion else []
    names += [f'block{number}_depthwise']
    names += [f'block{number}_project'] if block.filters else []
  return [*names, 'right', 'presence', 'joints', 'world']


def palm_names() -> list[str]:
  """The palm network's layers with weights, in the file's order."""
  names = ['stem', 'stem_prelu']
  for stage in range(len(palm_net.STAGE_FILTERS)):
    blocks = [f'block{number}' for number in range(1, palm_net.BLOCKS_PER_STAGE + 1)]
    for block in (['down'] if stage else []) + blocks:
      names += [f'stage{stage}_{block}_{part}' for part in ('depthwise', 'project', 'prelu')]
  for level in range(1, len(palm_net.LEVELS_UP) + 1):
    names += [f'up{level}_project', f'up{level}_prelu']
    for number in range(1, palm_net.BLOCKS_UP + 1):
      names += [f'up{level}_block{number}_{part}' for part in ('depthwise', 'project', 'prelu')]
    names += [f'up{level}_score', f'up{level}_box']
  return names


def _landmark_outputs(answers: dict) -> list[tf.Tensor]:
  """Joints [B, 63], presence, right [B, 1], world joints [B, 63]."""
  joints = tf.concat([answers['joints_2d_px'], answers['joints_depth_px'][..., None]], axis=-1)
  return [tf.reshape(joints, [-1, 63]), answers['presence'][:, None], 1 - answers['is_left'][:, None],
          tf.reshape(answers['world_joints_m'], [-1, 63])]


SOURCES = (
    Source('mediapipe/modules/hand_landmark/hand_landmark_full.tflite', landmark_net.WEIGHTS,
           landmark_net.landmark_net, landmark_names, _landmark_outputs),
    Source('mediapipe/modules/palm_detection/palm_detection_full.tflite', palm_net.WEIGHTS, palm_net.palm_net,
           palm_names, lambda answers: [answers['boxes'], answers['scores'][..., None]]))


def read_file(wheel: str, path: str) -> bytes:
  """Returns a file of a wheel.

  Raises:
    UserError: no such wheel, not a zip file, or it does not hold the file.
  """
  files.check_input(wheel, _MOST_WHEEL_BYTES, _GET_IT)
  with naming(f'cannot read {path} in {wheel}', _GET_IT, *files.ARCHIVE_FAULTS), \
      zipfile.ZipFile(wheel) as archive:
    if path not in archive.namelist():
      raise UserError(f'{wheel} holds no {path}; {_GET_IT}')
    with archive.open(path) as file:
      return files.read_member(file, _MOST_BYTES)


def layers_with_weights(content: bytes) -> list[Layer]:
  """Returns the operators with weights of a TensorFlow Lite file, in its order, without those that only convert them.

  Raises:
    ValueError: no TensorFlow Lite file, or its weights are not float16. The generated code that reads it checks
      nothing, so damage may end in any other exception.
  """
  kinds = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith('_')}
  if content[4:8] != b'TFL3':
    raise ValueError('no TensorFlow Lite file')
  model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
  graph = model.subgraphs[0]
  halves, layers = {}, []
  for operator in graph.operators:
    code = model.operatorCodes[operator.opcodeIndex]
    kind = kinds[max(code.builtinCode, code.deprecatedBuiltinCode)]
    if kind == 'DEQUANTIZE':
      tensor = graph.tensors[operator.inputs[0]]
      if tensor.type != schema.TensorType.FLOAT16:
        raise ValueError('weights that are not float16')
      halves[operator.outputs[0]] = np.asarray(model.buffers[tensor.buffer].data).view('<f2').reshape(tensor.shape)
    elif any(number in halves for number in operator.inputs):
      layers.append(Layer(kind, [halves[number] for number in operator.inputs if number in halves]))
  return layers


def keras_arrays(layer: Layer, name: str) -> dict[str, np.ndarray]:
  """The arrays of an operator by the names and in the layouts of the Keras layer `name`.

  A depthwise convolution whose biases are all zero has none in Keras.

  Raises:
    ValueError: an operator that the networks do not have.
  """
  first, *rest = layer.arrays
  bias = {f'{name}/bias': array for array in rest}
  if layer.kind == 'CONV_2D':  # [out, h, w, in]
    return {f'{name}/kernel': first.transpose(1, 2, 3, 0), **bias}
  if layer.kind == 'DEPTHWISE_CONV_2D':  # [1, h, w, channels]
    return {f'{name}/depthwise_kernel': first.transpose(1, 2, 3, 0), **(bias if any(map(np.any, rest)) else {})}
  if layer.kind == 'FULLY_CONNECTED':  # [out, in]
    return {f'{name}/kernel': first.T, **bias}
  if layer.kind == 'PRELU':  # [1, 1, channels]
    return {f'{name}/alpha': first}
  raise ValueError(f'an operator {layer.kind}')


def convert(content: bytes, source: Source, wheel: str) -> tuple[tf.keras.Model, dict[str, np.ndarray]]:
  """Returns the Keras model with a file's weights, and these by the names of `stored_weights`, float16.

  Args:
    content: of the file.
    source: what the file should be.
    wheel: path of the wheel that it comes from, for errors.

  Raises:
    UserError: the file is not the expected network.
  """
  place = f'{wheel}: {source.path}'
  with naming(f'{place} is not that of mediapipe 0.10.21', 'download the wheel again', Exception):
    layers, names = layers_with_weights(content), source.names()
    if len(layers) != len(names):
      raise ValueError(f'{len(layers)} layers, not {len(names)}')
    arrays = {}
    for layer, name in zip(layers, names):
      arrays.update(keras_arrays(layer, name))
  model = source.build(weights=None)
  stored_weights.assign(model, arrays, place)
  return model, arrays


def interpret(content: bytes, pictures: np.ndarray) -> list[np.ndarray]:
  """TensorFlow Lite's answers to pictures [B, S, S, 3] float32: a list of outputs [B, ...].

  A process of its own asks it, since TensorFlow Lite does not check a file, and damage may end the process.

  Raises:
    ValueError, RuntimeError: it cannot run the file, or has ended.
  """
  with futures.ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
    return pool.submit(_interpret, content, pictures).result()


def _interpret(content: bytes, pictures: np.ndarray) -> list[np.ndarray]:
  """Does the work of `interpret`."""
  interpreter = tf.lite.Interpreter(model_content=content)
  interpreter.allocate_tensors()
  answers = []
  for picture in pictures:
    interpreter.set_tensor(interpreter.get_input_details()[0]['index'], picture[None])
    interpreter.invoke()
    answers.append([interpreter.get_tensor(output['index']) for output in interpreter.get_output_details()])
  return [np.concatenate(parts) for parts in zip(*answers)]


def difference(model: tf.keras.Model, content: bytes, source: Source, wheel: str) -> float:
  """The largest difference between a Keras model and the file it came from, over a few random pictures.

  Raises:
    UserError: TensorFlow Lite cannot run the file, or its outputs are others; the message names the wheel.
  """
  pictures = np.random.default_rng(0).random((_RANDOM_PICTURES, *model.input_shape[1:]), np.float32)
  found = source.outputs(model(pictures))
  with naming(f'{wheel}: {source.path} cannot be run by TensorFlow Lite', _GET_IT, ValueError, RuntimeError):
    wanted = interpret(content, pictures)
  for a, b in zip(wanted, found):
    if a.shape != tuple(b.shape):
      raise UserError(f'{wheel}: {source.path} answers {list(a.shape)} where {list(b.shape)} is due; {_GET_IT}')
  # Unlike max, np.max keeps a NaN.
  return float(np.max([np.abs(a - b).max() for a, b in zip(wanted, found)]))
