"""Losses on 2D joints: the keypoint net's heat maps and the refiner's rounds."""
from collections.abc import Sequence

import gin
import tensorflow as tf

from dhpe_tf.losses import reductions


@gin.configurable(module='losses')
def heatmap_loss(stages: Sequence[tf.Tensor], target: tf.Tensor, weights: tf.Tensor,
                 reduction: str = 'mean') -> tf.Tensor:
  """The heat map loss of Eq. 3, summed over the stages s of the keypoint net P.

    L_2D = sum_s ||P_s(x) - H_gt||^2.

  Args:
    stages: maps P_s(x) `[B, S, S, 21]` of each stage.
    target: true maps H_gt `[B, S, S, 21]` (`heatmaps.encode`).
    weights: `[B, 21]`. Joints outside the crop have maps of zeros as target; give them weight 0 to leave them out.
    reduction: over pixels and joints.

  Returns:
    `[B]`.
  """
  weights = weights[:, None, None]
  return tf.add_n([reductions.squared_error(stage, target, weights, reduction) for stage in stages])


@gin.configurable(module='losses')
def refiner_loss(rounds: Sequence[tf.Tensor], target: tf.Tensor, weights: tf.Tensor, reduction: str = 'mean',
                    last_only: bool = False) -> tf.Tensor:
  """The refiner loss of Eq. 6, summed over the rounds t.

    L_Ref = sum_t ||j2D(t) - j2D_gt||^2.

  Args:
    rounds: j2D(t) `[B, 21, 2]` of each round, in crop space.
    target: j2D_gt `[B, 21, 2]` in crop space.
    weights: `[B, 21]`.
    reduction: over joints and coordinates.
    last_only: only the last round counts. The paper leaves open whether the rounds are summed.

  Returns:
    `[B]`.
  """
  rounds = rounds[-1:] if last_only else rounds
  return tf.add_n([reductions.squared_error(joints, target, weights[..., None], reduction) for joints in rounds])
