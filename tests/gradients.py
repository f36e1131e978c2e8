"""Gradients against central finite differences, in float64."""
from collections.abc import Sequence
from typing import Callable, Optional

import numpy as np
import tensorflow as tf


def assert_gradients_match(fn: Callable, inputs: Sequence, step: float = 1e-6, rtol: float = 1e-5, atol: float = 1e-7,
                           directions: int = 8, max_elements: int = 32, check: Optional[Sequence[bool]] = None,
                           seed: int = 0) -> None:
  """Asserts that TensorFlow's gradient of `fn` equals central finite differences.

  The outputs (a tensor or any nest of them) are summed with fixed random weights to one number. Inputs of up to
  `max_elements` elements are checked element by element, larger ones along `directions` random unit directions.

  Args:
    fn: function of len(inputs) tensors, returning a floating tensor or a nest of them; it must compute in float64 when
      its inputs are float64.
    inputs: arrays; floating ones are converted to float64 and checked, others are passed as they are.
    step: half the distance between the two points of a difference.
    rtol: tolerance relative to the norm of the input's gradient.
    atol: absolute tolerance, in units of the (randomly weighted) output.
    directions: random directions for an input larger than `max_elements`.
    max_elements: the largest input checked element by element.
    check: which inputs to check; all floating ones by default.
    seed: of the weights and the directions.

  Raises:
    AssertionError: naming the input, the direction and both derivatives.
  """
  random = np.random.default_rng(seed)
  arrays = [np.asarray(x, np.float64) if np.issubdtype(np.asarray(x).dtype, np.floating) else np.asarray(x)
            for x in inputs]
  weights = [random.normal(size=y.shape) for y in tf.nest.flatten(fn(*map(tf.constant, arrays)))]

  def total(*args):
    flat = tf.nest.flatten(fn(*args))
    assert all(y.dtype == tf.float64 for y in flat), f'computes in {[y.dtype.name for y in flat]}, not in float64'
    return tf.add_n([tf.reduce_sum(y * w) for y, w in zip(flat, weights)])

  tensors = [tf.constant(x) for x in arrays]
  with tf.GradientTape() as tape:
    tape.watch([t for t in tensors if t.dtype.is_floating])
    value = total(*tensors)
  gradients = tape.gradient(value, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO)
  for i, (array, gradient) in enumerate(zip(arrays, gradients)):
    if not tensors[i].dtype.is_floating or (check is not None and not check[i]):
      continue
    gradient = tf.convert_to_tensor(gradient).numpy()
    assert np.all(np.isfinite(gradient)), f'input {i}: the gradient is not finite'
    for label, direction in _directions(array, directions, max_elements, random):
      difference = [float(total(*tensors[:i], tf.constant(array + sign * step * direction), *tensors[i + 1:]))
                    for sign in (1, -1)]
      numeric = (difference[0] - difference[1]) / (2 * step)
      analytic = float(np.sum(gradient * direction))
      tolerance = atol + rtol * np.linalg.norm(gradient)
      assert abs(numeric - analytic) <= tolerance, (
          f'input {i}, {label}: finite difference {numeric:.9g}, gradient {analytic:.9g}, tolerance {tolerance:.3g}')


def _directions(array, count, max_elements, random):
  """Yields (label, unit direction): every axis of a small array, random directions of a large one."""
  if array.size <= max_elements:
    for index in np.ndindex(array.shape):
      direction = np.zeros(array.shape)
      direction[index] = 1
      yield f'element {index}', direction
  else:
    for k in range(count):
      direction = random.normal(size=array.shape)
      yield f'direction {k}', direction / np.linalg.norm(direction)
