"""Files of an exported model for other runtimes: TensorFlow Lite and ONNX.

They hold the part that goes straight from a picture to an answer, without refinement; see `LEFT_OUT` for the rest.
"""
import hashlib
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.methods.method import Method
from dhpe_tf.serving import lite
from dhpe_tf.tasks.task import Tensors

FORMATS = ('saved_model', 'tflite', 'onnx')  # of --formats; the first one is the export itself
NAME = 'feed_forward'  # of the files, before the type of the weights and the ending
IMAGES = 'images'  # the input
# Signatures that these files do not hold, for the model card; with the operations that neither converter takes.
LEFT_OUT = {
    'refine': 'each step solves a system of equations by MatrixSolve, which neither has',
    'predict_encoded': 'pictures are decoded by DecodeImage and hands cut out by ImageProjectiveTransformV3, which '
                       'neither has',
    'find_hands': 'hands are cut out by ImageProjectiveTransformV3, which neither has; palm_net.tflite and '
                  'landmark_net.tflite are its networks',
    'render': 'pixels are counted and sorted by RaggedRange, BitwiseAnd and LeftShift, which neither has',
}
TOLERANCES = {'float32': 1e-3, 'onnx': 1e-4}  # largest `difference`; weights of fewer digits differ more
_ROWS = 2  # random pictures for the comparison
_OPSET = 17


def write(method: Method, folder: str, formats: Sequence[str], signatures: Collection[str]) -> dict[str, Any]:
  """Writes the files of some formats and compares each with the method.

  Args:
    method: to be exported.
    folder: for the files.
    formats: of `FORMATS`.
    signatures: names of those of the export.

  Returns:
    Entries of the model card: `files`, by name their size, hash and difference from the method; and `left_out`. Empty
    without a format that has such files.

  Raises:
    UserError: the method does not take one picture, a format lacks an operation or its package, or a file answers
      otherwise than the method.
  """
  wanted = [name for name in formats if name != FORMATS[0]]
  if not wanted:
    return {}
  function = feed_forward(method)
  size = method.input_specs['image'].shape[1:]
  images = np.random.RandomState(0).uniform(size=[_ROWS, *size]).astype(np.float32)
  expected = function(tf.constant(images))
  files = {}
  if 'tflite' in wanted:
    picture = tf.TensorSpec([1, *size], tf.float32, IMAGES)
    for weights in lite.WEIGHTS:
      name = f'{NAME}_{weights}.tflite'
      content = lite.convert_function(function.get_concrete_function(picture), weights)
      found = lite.LiteNetwork(content, name)(tf.constant(images))
      files[name] = _written(folder, name, content, expected, found, TOLERANCES.get(weights))
  if 'onnx' in wanted:
    content = to_onnx(function.get_concrete_function(tf.TensorSpec([None, *size], tf.float32, IMAGES)))
    files[f'{NAME}.onnx'] = _written(folder, f'{NAME}.onnx', content, expected, onnx_session(content)(images),
                                     TOLERANCES['onnx'])
  left_out = {name: reason for name, reason in LEFT_OUT.items() if name in signatures}
  return {'files': files, 'left_out': {**left_out, **method.task.only_served}}


def feed_forward(method: Method) -> Callable[[tf.Tensor], Tensors]:
  """A function from pictures `[B, S, S, 3]` to what the task serves of the answers, without `Task.only_served`.

  Raises:
    UserError: the method takes something else than one picture.
  """
  if set(method.input_specs) != {'image'}:
    raise UserError(f'--formats: {type(method).__name__} takes {", ".join(sorted(method.input_specs))} and not one '
                    f'picture, which files for devices are made for; leave out all but {FORMATS[0]}.')
  task = method.task

  def run(images: tf.Tensor) -> Tensors:
    return {name: value for name, value in task.served(method.answer({'image': images})).items()
            if name not in task.only_served}
  return tf.function(run, autograph=False)


def to_onnx(function: Any) -> bytes:
  """Converts a concrete function of `images` to the content of an ONNX file with the same names.

  Raises:
    UserError: the packages of the extra [devices] are missing, or an operation is.
  """
  try:
    import tf2onnx
  except ImportError as error:
    raise UserError("--formats: onnx needs tf2onnx and onnxruntime; pip install 'dhpe_tf[devices]'") from error
  from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
  frozen = convert_variables_to_constants_v2(function)
  outputs = [output.name for output in frozen.outputs]
  try:
    # Of a function with functions inside, tf2onnx takes their weights for inputs; so they are made constants first.
    with lite.silent():
      model, _ = tf2onnx.convert.from_graph_def(frozen.graph.as_graph_def(), input_names=[frozen.inputs[0].name],
                                                output_names=outputs, opset=_OPSET)
  except Exception as error:  # of many kinds
    raise UserError(f'--formats: tf2onnx cannot take this model ({error}); leave out onnx.') from error
  names = {frozen.inputs[0].name: IMAGES, **dict(zip(outputs, sorted(function.structured_outputs)))}
  _rename(model.graph, names)
  return model.SerializeToString()


def onnx_session(content: bytes, threads: int = 0) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
  """Returns a function that answers pictures `[B, S, S, 3]` by onnxruntime, on processors.

  Args:
    content: of the file.
    threads: number of threads; 0 for onnxruntime's choice.
  """
  import onnxruntime
  options = onnxruntime.SessionOptions()
  options.intra_op_num_threads = threads
  session = onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'])
  names = [output.name for output in session.get_outputs()]
  return lambda images: dict(zip(names, session.run(names, {IMAGES: images})))


def difference(expected: Mapping[str, Any], found: Mapping[str, Any]) -> float:
  """The largest difference over all outputs, relative to the largest number of the output or to 1."""
  # Unlike max, np.max keeps a NaN.
  return float(np.max([np.abs(np.asarray(found[name]) - np.asarray(value)).max()
                       / max(1., np.abs(np.asarray(value)).max()) for name, value in expected.items()]))


def _rename(graph: Any, names: Mapping[str, str]) -> None:
  """Gives tensors of an ONNX graph other names."""
  for value in (*graph.input, *graph.output):
    value.name = names.get(value.name, value.name)
  for node in graph.node:
    node.input[:] = [names.get(name, name) for name in node.input]
    node.output[:] = [names.get(name, name) for name in node.output]


def _written(folder: str, name: str, content: bytes, expected: Tensors, found: Mapping[str, Any],
             tolerance: Optional[float]) -> dict[str, Any]:
  """Writes a file; returns its entry in the model card. Raises a UserError beyond the tolerance, if there is one."""
  differs = difference(expected, found)
  if not np.isfinite(differs) or tolerance is not None and differs > tolerance:
    raise UserError(f'{name} differs from the model by {differs:.2g}, of which {tolerance} are allowed, so nothing is '
                    'written; leave its format out of --formats.')
  with open(os.path.join(folder, name), 'wb') as file:
    file.write(content)
  return {'bytes': len(content), 'sha256': hashlib.sha256(content).hexdigest(), 'max_relative_difference': differs}
