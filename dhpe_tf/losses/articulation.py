"""The articulation loss: the mesh's skeleton against the true one."""
import gin
import tensorflow as tf

from dhpe_tf.losses import reductions


@gin.configurable(module='losses')
def articulation_loss(joints_crop: tf.Tensor, target: tf.Tensor, weights: tf.Tensor, reduction: str = 'mean',
                      root: int = 9) -> tf.Tensor:
  """The articulation loss of Eq. 8, in crop space.

    L_Art = ||N(J) - N(J_gt)||^2,    N(J) = (x, y, z - z_root).

  x and y are places in the crop and are compared as they are. z is relative to the root joint on both sides, because
  only differences of depth can be known: the estimate's root is moved to zero here, the target's already lies there.

  Args:
    joints_crop: `[B, 21, 3]` estimate J in crop space.
    target: `[B, 21, 3]` in crop space, z relative to the root joint.
    weights: `[B, 21, 3]`, or `[B, 21, 1]` for all three coordinates alike.
    reduction: over joints and coordinates.
    root: index of the root joint.

  Returns:
    `[B]`.
  """
  depth = joints_crop[..., 2:] - joints_crop[:, root:root + 1, 2:]  # z - z_root, [B, 21, 1]
  return reductions.squared_error(tf.concat([joints_crop[..., :2], depth], axis=-1), target, weights, reduction)
