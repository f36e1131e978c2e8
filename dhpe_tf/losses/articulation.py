"""The articulation loss: the mesh's skeleton against the true one."""
import gin
import tensorflow as tf

from dhpe_tf.losses import reductions


@gin.configurable(module='losses')
def articulation_loss(joints_crop: tf.Tensor, target: tf.Tensor, weights: tf.Tensor, reduction: str = 'mean',
                      root: int = 9) -> tf.Tensor:
  """L_Art of Eq. 8, ||N(skeleton) - N(truth)||^2 in crop space.

  x and y are places in the crop, and are compared as they are. z counts from the root joint on both sides, because
  only differences of depth can be known: the estimate's root is moved to zero here, the target's already lies there.

  Args:
    joints_crop: `[B, 21, 3]` estimate.
    target: `[B, 21, 3]` in crop space, z relative to the root joint.
    weights: `[B, 21, 3]`, or `[B, 21, 1]` for all three coordinates alike.
    reduction: over joints and coordinates.
    root: index of the root joint.

  Returns:
    `[B]`.
  """
  depth = joints_crop[..., 2:] - joints_crop[:, root:root + 1, 2:]
  return reductions.squared_error(tf.concat([joints_crop[..., :2], depth], axis=-1), target, weights, reduction)
