"""Random hands for the tests of the estimator on landmark evidence."""
import functools

import tensorflow as tf

from dhpe_tf.hand import hand_model
from dhpe_tf.methods.dhpe.landmarks import hand_state, random_hands


@functools.cache
def state() -> hand_state.HandState:
  return hand_state.HandState(hand_model.load_hand_model())


@functools.cache
def sampler() -> random_hands.RandomHands:
  return random_hands.RandomHands(state(), poses=200)


def truth(count: int = 4, seed: int = 0) -> random_hands.Truth:
  return sampler().sample(count, tf.constant([seed, 1]))
