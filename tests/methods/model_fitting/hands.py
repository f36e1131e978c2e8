"""Hands whose parameters are known, with what would be seen of them."""
import numpy as np
import tensorflow as tf

from dhpe_tf.hand import anatomy, hand_space
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.networks import hand_layers


def known(count: int = 3, seed: int = 5, dtype: str = 'float32', tilt: float = 0.4, mask_size: int = 64):
  """Space, z [count, 42], the posed hands, and what a method is given of them, by the names of the batch."""
  model, random = load_hand_model(), np.random.default_rng(seed)
  space = hand_space.HandSpace(model, dtype)
  z = np.tile(space.mean, [count, 1])
  poses = anatomy.sample_poses(count, seed, model)
  z[:, :hand_space.NUM_ANGLES] = anatomy.pose_to_angles(
      poses.astype(np.float64), model).numpy().reshape(count, -1)[:, hand_space.MOVING]
  z[:, hand_space.SHAPE] = random.normal(0, 0.7, [count, 10])
  z[:, -6:-3] = random.uniform(-tilt, tilt, [count, 3])
  z[:, -3:] = random.uniform(-0.1, 0.1, [count, 3])
  h = tf.cast(space.to_parameters(tf.constant(z, dtype)), tf.float32)
  hand = hand_layers.PosedHand(model)(h)
  mask = hand_layers.Silhouette(model, mask_size)(hand['vertices'])
  given = {'joints_2d': hand['joints_2d'], 'joints_2d_weight': tf.ones([count, 21]), 'mask': mask,
           'mask_weight': tf.ones([count])}
  return space, tf.constant(z, dtype), {**hand, 'mask': mask, 'parameters': h}, given
