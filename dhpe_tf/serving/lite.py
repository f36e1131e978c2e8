"""Networks as TensorFlow Lite files: on a processor they run about twice as fast as the same network in a graph."""
import contextlib
import os
import queue
import tempfile
from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import Any

import numpy as np
import tensorflow as tf

from dhpe_tf.errors import UserError, brief

_INPUT = 'images'
MOST_BYTES = 1 << 28  # of a file
WEIGHTS = ('float32', 'float16', 'int8')
_LACKING = ('TF Select ops: ', 'Custom ops: ')  # begin the lines in which the converter names what it lacks
_MOST_THREADS = 4
_REMEDY = 'export the model again.'


class LiteNetwork:
  """A converted network that is called like the Keras model it was made of, in graphs too.

  Rows of a batch are answered at the same time, each by one thread, and calls may come from several threads. There are
  no gradients, and a graph with such a network runs in this process only.
  """

  def __init__(self, content: bytes, name: str):
    """Builds one interpreter for each processor.

    Args:
      content: of the file, from `convert`, unchanged: TensorFlow Lite does not check it, and damage ends the process,
        so files are read behind a check of their hash.
      name: of the file, for messages.

    Raises:
      UserError: the content is no network of one picture.
    """
    count = min(_processors(), _MOST_THREADS)
    try:
      interpreters = [_interpreter(content) for _ in range(count)]
      # The signature only names the tensors: to run it would prepare the network again at each call.
      signature = interpreters[0].get_signature_runner()
      taken, outputs = signature.get_input_details()[_INPUT], signature.get_output_details()
    except (KeyError, ValueError, RuntimeError) as error:
      raise UserError(f'{name}: not a network of TensorFlow Lite with the input {_INPUT}; {_REMEDY}') from error
    self._input, self._shape = taken['index'], list(taken['shape'][1:])
    self._outputs = {output: outputs[output]['index'] for output in sorted(outputs)}
    self._shapes = {output: list(outputs[output]['shape'][1:]) for output in self._outputs}
    self._idle = queue.SimpleQueue()
    for interpreter in interpreters:
      self._idle.put(interpreter)
    self._threads = futures.ThreadPoolExecutor(count)

  def __call__(self, images: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
    """Answers a batch.

    Args:
      images: `[B, S, S, 3]` float32, of the size of the network.
      training: must be False.

    Returns:
      float32 tensors with B rows, by the names of the Keras model's outputs.
    """
    if training:
      raise ValueError('a network of TensorFlow Lite cannot learn')
    images = tf.ensure_shape(images, [None, *self._shape])
    # Of a single output the function gives no list.
    answers = tf.nest.flatten(
        tf.numpy_function(self._listed, [images], [tf.float32] * len(self._shapes), stateful=False))
    for answer, shape in zip(answers, self._shapes.values()):
      answer.set_shape([images.shape[0], *shape])
    return dict(zip(self._shapes, answers))

  def answer(self, images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Answers a batch outside of graphs, with no step of TensorFlow.

    Args:
      images: B arrays `[S, S, 3]` float32, or one with B rows.

    Returns:
      As `__call__`.
    """
    rows = list(map(self._answer_row, images) if len(images) < 2 else self._threads.map(self._answer_row, images))
    return {name: np.concatenate([row[name] for row in rows]) if rows else np.zeros([0, *shape], np.float32)
            for name, shape in self._shapes.items()}

  def _listed(self, images: np.ndarray) -> list[np.ndarray]:
    """The outputs in the order of their names."""
    return list(self.answer(images).values())

  def _answer_row(self, image: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs for one picture, with one row each."""
    interpreter = self._idle.get()
    try:
      # A mirrored view has negative strides, which the interpreter does not read.
      interpreter.set_tensor(self._input, np.ascontiguousarray(image)[None])
      interpreter.invoke()
      return {name: interpreter.get_tensor(index) for name, index in self._outputs.items()}
    finally:
      self._idle.put(interpreter)


def convert(model: tf.keras.Model) -> bytes:
  """Converts a network of pictures; weights are stored in float16 and used in float32.

  Args:
    model: from pictures `[B, S, S, 3]` float32 to a dict of tensors.

  Returns:
    The content of a .tflite file, whose signature answers one picture `images` `[1, S, S, 3]`.
  """
  picture = tf.TensorSpec([1, *model.input.shape[1:]], tf.float32, _INPUT)
  answer = tf.function(lambda images: model(images, training=False), [picture], autograph=False)
  return convert_function(answer.get_concrete_function(), 'float16')


def convert_function(function: Any, weights: str) -> bytes:
  """Converts a function of stock operations that TensorFlow Lite has itself.

  Args:
    function: a concrete function of named tensors to a dict of tensors.
    weights: one of `WEIGHTS`, how they rest; all numbers are float32 when they are used, but with 'int8' products of
      matrices with large weights are those of whole numbers.

  Returns:
    The content of a .tflite file, whose signature has the names of the function's inputs and outputs.

  Raises:
    UserError: TensorFlow Lite lacks an operation.
  """
  module = tf.Module()
  module.weights = list(function.variables)
  with tempfile.TemporaryDirectory() as folder, silent():
    tf.saved_model.save(module, folder, signatures=function)
    converter = tf.lite.TFLiteConverter.from_saved_model(folder)
    if weights != 'float32':
      converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if weights == 'float16':
      converter.target_spec.supported_types = [tf.float16]
    try:
      return converter.convert()
    except Exception as error:  # of the converter's own kinds, which have changed their places
      lacking = ' '.join(line for line in str(error).splitlines() if line.startswith(_LACKING))
      raise UserError(f'TensorFlow Lite cannot take this model ({lacking or brief(error)}); leave out tflite of '
                      '--formats.') from error


def _interpreter(content: bytes) -> tf.lite.Interpreter:
  """An interpreter of one thread, ready to run."""
  with silent():
    interpreter = tf.lite.Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
  return interpreter


def _processors() -> int:
  """The number of processors that this process may use."""
  return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1


@contextlib.contextmanager
def silent() -> Iterator[None]:
  """Drops what converters and TensorFlow Lite write to the terminal, also past Python's own streams, in the block."""
  kept = os.dup(2)
  with open(os.devnull, 'wb') as nowhere:
    os.dup2(nowhere.fileno(), 2)
  try:
    yield
  finally:
    os.dup2(kept, 2)
    os.close(kept)
