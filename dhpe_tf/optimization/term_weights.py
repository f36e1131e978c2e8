"""Weights of an objective's terms from a stranger, such as an input of a served model."""
from collections.abc import Sequence

import tensorflow as tf


def factors(weights: tf.Tensor) -> tf.Tensor:
  """Returns the factors `[T]` by which the terms are multiplied, in addition to weights of their own.

  Args:
    weights: `[T]`; all zeros stand for all ones, since signatures of a SavedModel have no optional inputs.

  Raises:
    tf.errors.InvalidArgumentError: one is below 0.
  """
  with tf.control_dependencies([tf.debugging.assert_non_negative(weights, 'term_weights must not be below 0')]):
    return tf.where(tf.reduce_any(weights > 0), weights, tf.ones_like(weights))


def about(terms: Sequence[str]) -> str:
  """Returns the meaning of an input 'term_weights', for the model card."""
  return (f'factors of the terms of the objective, in this order: {", ".join(terms)}; from 0. All zeros: the model\'s '
          'own weights')
