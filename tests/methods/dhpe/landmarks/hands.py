"""Random hands for the tests of the estimator on landmark evidence."""
import functools

import numpy as np
import tensorflow as tf

from dhpe_tf.hand import hand_model
from dhpe_tf.methods.dhpe.landmarks import batches, hand_state, random_hands


@functools.cache
def state() -> hand_state.HandState:
  return hand_state.HandState(hand_model.load_hand_model())


@functools.cache
def sampler() -> random_hands.RandomHands:
  return random_hands.RandomHands(state(), poses=200)


def truth(count: int = 4, seed: int = 0) -> random_hands.Truth:
  return sampler().sample(count, tf.constant([seed, 1]))


def write_cached(folder: str, count: int, split: str = 'train') -> str:
  """Writes a file of cached evidence, of random hands with small errors; returns the folder."""
  drawn = truth(count)
  joints = np.ones([count, 21], np.float32)
  noise = np.random.default_rng(0).normal(0, [0.02, 0.02, 0.1, 0.005, 0.005, 0.005, 0.0], [count, 21, 7])
  np.savez(batches.path_of(folder, split), landmark_evidence=drawn.evidence().pack() + noise,
           joints_2d=drawn.joints_2d, joints_2d_weight=joints, joints_z_weight=joints, joints_3d_weight=joints,
           joints_3d=tf.concat([drawn.joints_2d, drawn.joints_z[..., None]], axis=-1), joints_3d_m=drawn.joints_3d_m,
           pose=drawn.pose, shape=drawn.shape, parameters_weight=np.ones(count, np.float32))
  return folder
