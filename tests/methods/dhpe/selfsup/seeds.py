"""Pictures of hands with everything known about them: seeds as if a model had predicted them without error."""
import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import rotations
from dhpe_tf.hand import anatomy, parameters
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.methods.dhpe.selfsup import variation
from dhpe_tf.rendering import crop_view, render, shading, texture

SIZE = 96


def make_seeds(count=3, seed=0, shape=1.):
  """`count` hands in random poses, skins and views, their shapes normal with deviation `shape`.

  Returns:
    A batch of the input pipeline, and the outputs of a perfect model for it.
  """
  model = load_hand_model()
  place = variation.Variation(model, 0., 0., 0., 0.).place
  random = np.random.default_rng(seed)
  hands = place(tf.constant(anatomy.sample_poses(count, seed), tf.float32),
                tf.constant(random.normal(0, shape, [count, 10]), tf.float32),
                rotations.random_rotations(count, seed), tf.zeros([count, 3]))
  rgb, alpha, _ = render.render_rgb(
      crop_view.crop_to_pixels(hands.vertices, SIZE), model.closed_faces, texture.sample_skin(model, count, seed),
      shading.ambient_and_lamp(count, ambient=0.5, lamp=0.3, gloss=0.), (SIZE, SIZE))
  ground = tf.random.stateless_uniform([count, SIZE, SIZE, 3], [seed, 1])
  joints, ones = hands.joints, tf.ones([count, 21])
  batch = {
      'image': rgb * alpha + ground * (1 - alpha), 'mask': alpha[..., 0], 'mask_weight': ones[:, 0],
      'joints_2d': joints[..., :2], 'joints_2d_weight': ones, 'joints_3d': joints, 'joints_z_weight': ones,
      'joints_3d_m': joints, 'joints_3d_weight': ones, 'pose': hands.pose, 'shape': hands.shape,
      'parameters_weight': ones[:, 0], 'crop_center_px': tf.fill([count, 2], 100.),
      'crop_side_px': tf.fill([count], 90.), 'crop_turn': tf.fill([count], 0.3),
      'intrinsics': tf.eye(3, batch_shape=[count]), 'root_depth_m': 0.5 * ones[:, 0],
      'is_left': tf.ones([count], tf.bool), 'id': tf.constant([f'picture {i}' for i in range(count)]),
  }
  h = parameters.join(parameters.HandParameters(
      hands.pose, hands.shape, hands.camera[:, :4], hands.camera[:, 4:5], hands.camera[:, 5:]))
  results = {'parameters': h, 'vertices': hands.vertices, 'joints_2d': joints[..., :2], 'pose': hands.pose,
             'mask': alpha[..., 0]}
  return batch, results
