"""A hand that is written as glTF stands where the hand of the picture does."""
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.geometry import crops, rotations
from dhpe_tf.hand import anatomy, skeletons
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.hand.mano_layer import ManoLayer
from dhpe_tf.networks import hand_layers
from dhpe_tf.tasks.hand import posed_files, prediction, serving, steady
from dhpe_tf.tasks.hand import request as requests


@pytest.mark.parametrize('side', ['right', 'left'])
def test_moments_are_the_hand_of_the_picture(side):
  random, model = np.random.default_rng(0), load_hand_model()
  given = [tf.constant(values, tf.float32) for values in (
      anatomy.sample_poses(1, 2), random.normal(0, 1, (1, 10)), rotations.random_rotations(1, 3))]
  laid = steady.lay(hand_layers.PosedHand(model), *given, tf.constant([6.]), tf.constant([0.1]),
                    tf.constant(random.uniform(-0.5, 0.5, (1, 21, 2)), tf.float32))
  picture = np.zeros([200, 320, 3], np.uint8)
  request = requests.Request(picture, 'a', crops.Crop(tf.constant([[130., 90.]]), tf.constant([120.])),
                             tf.constant([0.7]), tf.constant([side == 'left']))
  hand, = prediction.to_hands(request, {**laid, 'score': tf.ones([1])}, serving.describe(model))
  moment = posed_files.moment(hand, picture.shape[:2])
  posed = ManoLayer(load_hand_model(side=side))(moment.pose[None], moment.shape[None], moment.camera[None])
  root = posed['keypoints'][0, skeletons.ROOT].numpy()
  np.testing.assert_allclose(posed['vertices'][0] - root, hand.values['vertices_m'], atol=1e-5)
  pixel = root[:2] / root[2] * 320 + [160, 100]
  np.testing.assert_allclose(pixel, hand.values['joints_2d_px'][skeletons.ROOT], atol=0.05)
