import numpy as np
import tensorflow as tf

from dhpe_tf.methods.dhpe.landmarks import confidence


def test_a_joint_is_surer_where_looks_and_hand_agree():
  distances = tf.constant([[0., 0.01, 0.05, 0.2]])
  zeros = tf.zeros_like(distances)
  for pair in ((distances, zeros), (zeros, distances), (distances, distances)):
    sure = confidence.joint_confidence(*pair).numpy()[0]
    assert np.all(np.diff(sure) < 0) and sure[0] > 0.8 and sure[-1] > 0.
  assert float(confidence.joint_confidence(distances, distances)[0, -1]) < 0.3


def test_it_is_the_logistic_function_of_the_logarithms():
  sure = confidence.joint_confidence(tf.constant([[0.1]]), tf.constant([[0.02]]), 1., -0.5, 2.)
  exponent = 1. - 0.5 * np.log(0.103) + 2. * np.log(0.023)
  np.testing.assert_allclose(sure, [[1 / (1 + np.exp(-exponent))]], rtol=1e-5)
