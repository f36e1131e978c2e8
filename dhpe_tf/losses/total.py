"""The total: a weighted sum of named terms."""
from collections.abc import Mapping

import tensorflow as tf


def combine(terms: Mapping[str, tf.Tensor], weights: Mapping[str, float]) -> tf.Tensor:
  """The objective of Eq. 7: the sum of the terms, each times its weight.

  Args:
    terms: name -> `[B]`.
    weights: name -> number, one for each term. A term of weight 0 is left out, and takes no part in gradients.

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
