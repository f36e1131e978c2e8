"""Losses on 2D joints: the keypoint net's heat maps and the refiner's rounds."""
from collections.abc import Sequence

import gin
import tensorflow as tf

from dhpe_tf.losses import reductions


@gin.configurable(module='losses')
def heatmap_loss(stages: Sequence[tf.Tensor], target: tf.Tensor, weights: tf.Tensor,
                 reduction: str = 'mean') -> tf.Tensor:
  """L_2D of Eq. 3, ||P(x) - H||^2, summed over the stages of the keypoint net.

  Args:
    stages: maps `[B, S, S, 21]` of each stage.
    target: true maps `[B, S, S, 21]`.
    weights: `[B, 21]`; give joints outside the crop, whose maps are zero, the weight they should have.
    reduction: over pixels and joints.

  Returns:
    `[B]`.
  """
  weights = weights[:, None, None]
  return tf.add_n([reductions.squared_error(stage, target, weights, reduction) for stage in stages])


@gin.configurable(module='losses')
def refiner_loss(rounds: Sequence[tf.Tensor], target: tf.Tensor, weights: tf.Tensor, reduction: str = 'mean',
                    last_only: bool = False) -> tf.Tensor:
  """L_Ref of Eq. 6, sum over rounds t of ||j2D(t) - j2D||^2.

  Args:
    rounds: `[B, 21, 2]` of each round, in crop space.
    target: `[B, 21, 2]` in crop space.
    weights: `[B, 21]`.
    reduction: over joints and coordinates.
    last_only: count the last round only; the paper leaves open which it is.

  Returns:
    `[B]`.
  """
  rounds = rounds[-1:] if last_only else rounds
  return tf.add_n([reductions.squared_error(joints, target, weights[..., None], reduction) for joints in rounds])
