"""Checks inside the graph of a served signature: strangers' tensors are refused before any operation relies on them.

TensorFlow does not compare what is fed to a signature with its shapes, and several kernels end the process if a shape
is not as the graph has it. A failed check is INVALID_ARGUMENT, with the name of the input.
"""
from collections.abc import Mapping, Sequence
from typing import Optional

import gin
import tensorflow as tf

from dhpe_tf.tasks.task import Tensors

_ANY = -1


@gin.configurable(module='serving', denylist=['inputs', 'specs', 'rows', 'least_rows', 'may_be_infinite'])
def checked_inputs(inputs: Tensors, specs: Mapping[str, tf.TensorSpec], rows: Sequence[str], least_rows: int = 1,
                   most_rows: int = 256, most_numbers: int = 150_000_000,
                   may_be_infinite: Sequence[str] = ()) -> Tensors:
  """Returns the inputs of a signature, behind checks of their shapes, their number of rows, and their values.

  Args:
    inputs: tensors by name.
    specs: their specifications; sizes None may be any from 1.
    rows: names of the inputs that have one row for each instance along axis 0; they must have equally many.
    least_rows: of these.
    most_rows: of these.
    most_numbers: largest number of elements of any other input, such as a whole picture.
    may_be_infinite: names of the inputs whose numbers need not be finite.

  Returns:
    The same tensors with the shapes of `specs`.

  Raises:
    tf.errors.InvalidArgumentError: at run time, if an input has another shape, has too many or too few rows, or holds
      a number that is not finite and must be.
  """
  shaped = {}
  for name, value in inputs.items():
    limits = (least_rows, most_rows) if name in rows else None
    shaped[name] = _shaped(name, value, specs[name].shape, limits, most_numbers)
  checks = [_assert(tf.equal(tf.shape(shaped[name])[0], tf.shape(shaped[rows[0]])[0]),
                    f'{name} must have as many rows as {rows[0]}, but has', tf.shape(shaped[name]))
            for name in rows[1:]]
  checks += [_finite(value, f'{name} must hold finite numbers only.') for name, value in shaped.items()
             if value.dtype.is_floating and name not in may_be_infinite]
  with tf.control_dependencies(checks):
    return {name: tf.identity(value) for name, value in shaped.items()}


def checked_outputs(outputs: Tensors) -> Tensors:
  """Returns the outputs of a signature, behind a check that they are finite.

  Raises:
    tf.errors.InvalidArgumentError: at run time, if one is not.
  """
  checks = [_finite(value, f'{name} would not be finite for these inputs; nothing is answered.')
            for name, value in outputs.items() if value.dtype.is_floating]
  with tf.control_dependencies(checks):
    return {name: tf.identity(value) for name, value in outputs.items()}


def _shaped(name: str, value: tf.Tensor, wanted: tf.TensorShape, rows: Optional[tuple[int, int]],
            most_numbers: int) -> tf.Tensor:
  """An input behind checks of its shape; `rows` is the least and the most of axis 0, or None for other inputs."""
  # Of unknown shape, since the checks of a shape that is believed to be known would be optimized away. Those of a
  # specification without unknown sizes are all the same; then `ensure_shape` refuses, and tells the operation's name.
  value = tf.raw_ops.PlaceholderWithDefault(input=value, shape=tf.TensorShape(None), name=name)
  shape = tf.shape(value)
  words = ', '.join('any' if size is None else str(size) for size in wanted)
  checks = [_assert(_fits(shape, wanted, least=0 if rows else 1),
                    f'{name} must have the shape [{words}], but has', shape)]
  with tf.control_dependencies(checks):
    value = tf.ensure_shape(tf.identity(value), wanted)
  if rows:
    count = tf.shape(value)[0]
    checks = [_assert((count >= rows[0]) & (count <= rows[1]),
                      f'{name} must have from {rows[0]} to {rows[1]} rows, but has', count)]
  else:
    count = tf.size(value, tf.int64)
    checks = [_assert(count <= most_numbers, f'{name} must have at most {most_numbers} numbers, but has', count)]
  with tf.control_dependencies(checks):
    return tf.identity(value)


def _fits(shape: tf.Tensor, wanted: tf.TensorShape, least: int) -> tf.Tensor:
  """Whether a shape of any rank is `wanted`, whose unknown sizes are at least 1, or `least` along axis 0."""
  sizes = tf.constant([_ANY if size is None else size for size in wanted], tf.int32)
  lowest = tf.constant([least if axis == 0 else 1 for axis in range(wanted.rank)], tf.int32)
  # Filled up, so that the comparison is possible for every rank.
  given = tf.concat([shape, tf.fill([wanted.rank], _ANY)], axis=0)[:wanted.rank]
  each = tf.where(sizes == _ANY, given >= lowest, given == sizes)
  return tf.equal(tf.size(shape), wanted.rank) & tf.reduce_all(each)


def _finite(value: tf.Tensor, message: str) -> tf.Operation:
  """Asserts that all numbers of a tensor are finite."""
  return tf.debugging.Assert(tf.reduce_all(tf.math.is_finite(value)), [message])


def _assert(condition: tf.Tensor, message: str, number: tf.Tensor) -> tf.Operation:
  """Asserts a scalar condition; the error ends with a number or shape."""
  return tf.debugging.Assert(condition, [message, number], summarize=8)
