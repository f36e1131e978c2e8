"""How the entries of a loss become one number per instance."""
from collections.abc import Mapping
from typing import Optional

import tensorflow as tf

REDUCTIONS = ('mean', 'sum')


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
  """Raises a ValueError that names the parameter `name` and its `choices` unless `value` is one of them."""
  if value not in choices:
    raise ValueError(f'{name} must be one of {", ".join(choices)}, got {value!r}')


def reduce(values: tf.Tensor, weights: Optional[tf.Tensor], reduction: str) -> tf.Tensor:
  """The weighted sum or mean over all axes but the first.

    'sum': sum_i w_i x_i,    'mean': sum_i w_i x_i / sum_i w_i.

  Args:
    values: `[B, ...]`.
    weights: broadcastable to `values`, at least 0; None weighs all by 1.
    reduction: 'mean' or 'sum'.

  Returns:
    `[B]`; zero where all weights are zero.

  Raises:
    ValueError: an unknown reduction.
  """
  check_choice('reduction', reduction, REDUCTIONS)
  axes = list(range(1, values.shape.rank))
  if weights is None:
    return tf.reduce_sum(values, axes) if reduction == 'sum' else tf.reduce_mean(values, axes)
  weights = tf.broadcast_to(tf.cast(weights, values.dtype), tf.shape(values))
  total = tf.reduce_sum(tf.where(weights > 0, weights * values, 0.), axes)
  return total if reduction == 'sum' else tf.math.divide_no_nan(total, tf.reduce_sum(weights, axes))


def squared_error(values: tf.Tensor, target: tf.Tensor, weights: Optional[tf.Tensor] = None,
                  reduction: str = 'mean') -> tf.Tensor:
  """The reduced squared difference (x - target)^2 `[B]` of values `[B, ...]`; weights as in `reduce`.

  Labels of weight zero are replaced before they meet the values, so that not even a NaN reaches the gradient.
  """
  if weights is not None:
    target = tf.where(weights > 0, target, tf.stop_gradient(values))
  return reduce(tf.math.squared_difference(values, target), weights, reduction)


def instance_squared_error(values: tf.Tensor, target: tf.Tensor, weights: Optional[tf.Tensor] = None,
                           reduction: str = 'mean') -> tf.Tensor:
  """The reduced squared difference `[B]` of values `[B, ...]` from their target, times the instances' weights `[B]`."""
  if weights is None:
    return squared_error(values, target, reduction=reduction)
  shape = [-1] + [1] * (values.shape.rank - 1)
  target = tf.where(tf.reshape(weights > 0, shape), target, tf.stop_gradient(values))
  return weights * squared_error(values, target, reduction=reduction)


def safe_norm(vectors: tf.Tensor) -> tf.Tensor:
  """Lengths `[...]` of vectors `[..., D]`, with gradient zero where a vector is zero."""
  squares = tf.reduce_sum(tf.square(vectors), axis=-1)
  positive = squares > 0
  return tf.where(positive, tf.sqrt(tf.where(positive, squares, 1.)), 0.)


def combine(terms: Mapping[str, tf.Tensor], weights: Mapping[str, float]) -> tf.Tensor:
  """The objective of Eq. 7: the sum of the terms, each times its weight.

    L = L_Art + lambda L_Sh + L_Lap + L_Feat + L_Ref (+ L_2D), each term with a weight.

  The paper's weights, and whether L_2D is in its sum, are not known.

  Args:
    terms: name -> `[B]`.
    weights: name -> number, one for each term. A term of weight 0 is left out and has no gradient.

  Returns:
    `[B]`.

  Raises:
    ValueError: a term without a weight, a weight without a term, or no weight above zero.
  """
  lone = sorted(set(terms) ^ set(weights))
  if lone:
    raise ValueError(f'loss terms and weights must have the same names; {", ".join(lone)} stand in one of them only')
  chosen = [weights[name] * terms[name] for name in sorted(terms) if weights[name] != 0]
  if not chosen:
    raise ValueError(f'all weights of the loss terms {", ".join(sorted(terms))} are zero')
  return tf.add_n(chosen)
