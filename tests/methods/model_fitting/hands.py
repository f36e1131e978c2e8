"""Hands whose parameters are known, with what would be seen of them."""
import numpy as np
import tensorflow as tf

from dhpe_tf.hand import anatomy
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.methods.dhpe import layers
from dhpe_tf.methods.model_fitting import fitting, hand_space


def known(count: int = 3, seed: int = 5, dtype: str = 'float32', tilt: float = 0.4, mask_size: int = 64):
  """Space, z [count, 42], the posed hands and their evidence."""
  model, random = load_hand_model(), np.random.default_rng(seed)
  space = hand_space.HandSpace(model, dtype)
  z = np.tile(space.mean, [count, 1])
  poses = anatomy.sample_poses(count, seed, model)
  z[:, :hand_space.NUM_ANGLES] = anatomy.pose_to_angles(
      poses.astype(np.float64), model).numpy().reshape(count, -1)[:, hand_space.MOVING]
  z[:, hand_space.NUM_ANGLES:-6] = random.normal(0, 0.7, [count, 10])
  z[:, -6:-3] = random.uniform(-tilt, tilt, [count, 3])
  z[:, -3:] = random.uniform(-0.1, 0.1, [count, 3])
  h = tf.cast(space.to_parameters(tf.constant(z, dtype)), tf.float32)
  hand = layers.PosedHand(model)(h)
  mask = layers.Silhouette(model, mask_size)(hand['vertices'])
  evidence = fitting.Evidence(hand['joints_2d'], tf.ones([count, 21]), mask, tf.ones([count]))
  return space, tf.constant(z, dtype), {**hand, 'mask': mask, 'parameters': h}, evidence
