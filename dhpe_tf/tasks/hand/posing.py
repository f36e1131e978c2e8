"""The hand of given parameters in a SavedModel: its mesh in metres, and pictures of it over a crop."""
from collections.abc import Callable, Mapping
from typing import Optional

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import cameras, crops
from dhpe_tf.hand import parameters, skeletons
from dhpe_tf.hand.hand_model import HandModel
from dhpe_tf.networks import hand_layers
from dhpe_tf.rendering import crop_view, rasterizer, render, shading
from dhpe_tf.tasks.hand import results
from dhpe_tf.tasks.task import Signature, Tensors
from dhpe_tf.visualization import layers

_LEAST_LENGTH = 1e-3  # of a quaternion

ABOUT = {
    'parameters': 'the output of that name, of the right-hand model: pose 45 (axis-angle about the flat hand, '
                  'radians), shape 10, quaternion 4 (w, x, y, z; any length but 0), scale 1 (crop units per '
                  'metre, above 0), translation 3 (crop units)',
    'is_left': 'whether to mirror the result to a left hand',
    'camera_distance': 'the output of that name, crop units; 0 for weak perspective',
    'images': 'RGB in 0..1, what the overlay is drawn on: the crop, unmirrored; zeros for black',
    'vertices_m': results.DOCUMENTED['vertices_m'] + '; turned as the crop is',
    'joints_3d_m': results.DOCUMENTED['joints_3d_m'] + '; turned as the crop is',
    'mask': 'share of each pixel that the hand covers, 0..1, by a few points a pixel',
    'depth_m': 'metres behind the root (middle MCP), mean over the covered part of each pixel; 0 where the mask is 0',
    'overlay': 'RGB in 0..1, the shaded hand over the images',
}


def posed_hand(hand_model: HandModel) -> Callable[[tf.Tensor], Tensors]:
  """A function of parameters `[B, 63]` as `hand_layers.PosedHand`, with one graph of its own.

  An export then holds the hand's constants once for all functions that call it.
  """
  return tf.function(hand_layers.PosedHand(hand_model), [tf.TensorSpec([None, parameters.NUM_PARAMETERS])],
                     autograph=False)


def signatures(posed: Callable[[tf.Tensor], Tensors], hand_model: HandModel,
               image_size: Optional[int]) -> dict[str, Signature]:
  """Builds `mesh` and `render`, of parameters `[B, 63]` and sides `[B]`; `ABOUT` says what goes in and comes out.

  Args:
    posed: `posed_hand` of the hand model.
    hand_model: a right hand.
    image_size: side of the pictures of `render`, px; None for the default of `drawing`.

  Returns:
    The signatures by name.
  """
  size = {} if image_size is None else {'size': image_size}
  examples = {'parameters': parameters.mean_parameters(hand_model)}
  return {'mesh': _mesh(posed, examples), 'render': drawing(posed, hand_model, examples, **size)}


def _mesh(posed: Callable[[tf.Tensor], Tensors], examples: Mapping[str, np.ndarray]) -> Signature:
  """The signature `mesh`."""

  def mesh(parameters: tf.Tensor, is_left: tf.Tensor) -> Tensors:
    hand = posed(_in_metres(parameters))
    root = hand['joints_3d'][:, skeletons.ROOT, None]
    return {'vertices_m': results.mirrored(hand['vertices'] - root, is_left),
            'joints_3d_m': results.mirrored(hand['joints_3d'] - root, is_left)}

  specs = {'parameters': tf.TensorSpec([None, parameters.NUM_PARAMETERS]), 'is_left': tf.TensorSpec([None], tf.bool)}
  return Signature(mesh, specs, tuple(specs), 1, ABOUT, ABOUT, examples)


@gin.configurable(module='hand', denylist=['posed', 'hand_model', 'examples'])
def drawing(posed: Callable[[tf.Tensor], Tensors], hand_model: HandModel, examples: Mapping[str, np.ndarray],
            size: int = 224, samples: int = 2, opacity: float = 0.85, most_layers: float = 16.) -> Signature:
  """The signature `render`.

  Args:
    posed: parameters `[B, 63]` -> the hand in crop space.
    hand_model: gives the faces.
    examples: of the arguments, see `Signature`.
    size: side S of the pictures, px.
    samples: points per pixel in each direction.
    opacity: of the hand in the overlay, 0..1.
    most_layers: the boxes of all faces, cut off at the picture's edge, may cover the picture so many times. A hand that
      fills its crop takes about six; parameters that are no hand could take a thousand times that, and all memory.

  Returns:
    The signature.
  """

  def draw(given: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, ...]:
    """Mask, depth in crop units and overlay of one hand `[V, 3]` over one picture `[S, S, 3]`."""
    vertices, image = given
    vertices_px = _drawable(crop_view.crop_to_pixels(vertices, size), hand_model, size, most_layers)
    rgb, alpha, visible = render.render_rgb(
        vertices_px[None], hand_model.closed_faces, tf.constant(layers.MESH_COLOR) * tf.ones_like(vertices),
        shading.ambient_and_lamp(1), (size, size), samples=samples)
    opaque = alpha[0] * opacity
    overlay = rgb[0] * opaque + image * (1. - opaque)
    return alpha[0, ..., 0], _mean_depth(visible, samples, size) / (size / 2), overlay

  def render_hands(parameters: tf.Tensor, is_left: tf.Tensor, camera_distance: tf.Tensor, images: tf.Tensor) -> Tensors:
    hand = posed(_sound(parameters))
    vertices, pixels = _seen(hand['vertices'], camera_distance), [size, size]
    # One after the other, so that memory does not grow with the number of rows.
    mask, depth, overlay = tf.map_fn(
        draw, (vertices, _mirrored_images(images, is_left)), parallel_iterations=1,
        fn_output_signature=(tf.TensorSpec(pixels), tf.TensorSpec(pixels), tf.TensorSpec([*pixels, 3])))
    behind_root = depth - hand['joints_3d'][:, skeletons.ROOT, 2, None, None]
    depth_m = tf.where(mask > 0, behind_root / hand['units_per_metre'][:, None, None], 0.)
    mask_and_depth = _mirrored_images(tf.stack([mask, depth_m], axis=-1), is_left)
    return {'mask': mask_and_depth[..., 0], 'depth_m': mask_and_depth[..., 1],
            'overlay': _mirrored_images(overlay, is_left)}

  specs = {'parameters': tf.TensorSpec([None, parameters.NUM_PARAMETERS]), 'is_left': tf.TensorSpec([None], tf.bool),
           'camera_distance': tf.TensorSpec([None]), 'images': tf.TensorSpec([None, size, size, 3])}
  return Signature(render_hands, specs, tuple(specs), 1, ABOUT, ABOUT, examples)


def _in_metres(h: tf.Tensor) -> tf.Tensor:
  """Parameters `[B, 63]` of the same hand with one crop unit a metre, at the origin."""
  parts = parameters.split(_sound(h))
  return parameters.join(parts._replace(scale=tf.ones_like(parts.scale), translation=tf.zeros_like(parts.translation)))


def _sound(h: tf.Tensor) -> tf.Tensor:
  """Parameters `[B, 63]` behind a check that they pose a hand."""
  parts = parameters.split(h)
  checks = [tf.debugging.assert_positive(parts.scale, 'parameters: the scale must be above 0'),
            tf.debugging.assert_greater(tf.norm(parts.rotation, axis=-1), _LEAST_LENGTH,
                                        'parameters: the quaternion must not be 0')]
  with tf.control_dependencies(checks):
    return tf.identity(h)


def _seen(vertices: tf.Tensor, distance: tf.Tensor) -> tf.Tensor:
  """Vertices `[B, V, 3]` in crop space where a camera at a distance `[B]` sees them; 0 stands for far away."""
  check = tf.debugging.assert_non_negative(distance, 'camera_distance must not be below 0')
  with tf.control_dependencies([check]):
    is_near = distance > 0
  nearest = tf.reduce_min(vertices[..., 2], axis=1) + tf.where(is_near, distance, 1.)
  check = tf.debugging.assert_positive(tf.where(is_near, nearest, 1.), 'camera_distance: the hand reaches the camera')
  with tf.control_dependencies([check]):
    camera = cameras.CropCamera(tf.where(is_near, distance, 1.), tf.zeros([tf.shape(distance)[0], 2]))
  return tf.where(is_near[:, None, None], cameras.add_perspective(vertices, camera), vertices)


def _drawable(vertices_px: tf.Tensor, hand_model: HandModel, size: int, most_layers: float) -> tf.Tensor:
  """Vertices `[V, 3]` behind a check of the work that it takes to draw them."""
  corners = tf.clip_by_value(tf.gather(vertices_px[:, :2], hand_model.closed_faces), 0., float(size))  # [F, 3, 2]
  # A face has work in each row and column that it touches.
  sides = tf.reduce_max(corners, axis=1) - tf.reduce_min(corners, axis=1) + 1.
  layers_found = tf.reduce_sum(tf.reduce_prod(sides, axis=1)) / size**2
  least = (len(hand_model.closed_faces) * 4) / size**2  # faces of a pixel or two
  check = tf.debugging.assert_less_equal(layers_found, most_layers + least,
                                         'parameters: not a hand in its crop, its faces are too large to be drawn')
  with tf.control_dependencies([check]):
    return tf.identity(vertices_px)


def _mean_depth(visible: rasterizer.Visible, samples: int, size: int) -> tf.Tensor:
  """The mean depth `[S, S]`, px, of the points seen in each pixel of one picture; 0 where there are none."""
  pixel = render.coarse_pixels(visible, samples)
  depth = tf.math.unsorted_segment_mean(visible.depth, pixel, size * size)
  return tf.reshape(depth, [size, size])


def _mirrored_images(images: tf.Tensor, is_left: tf.Tensor) -> tf.Tensor:
  """Images `[B, S, S, C]`, those of left hands mirrored."""
  return tf.where(is_left[:, None, None, None], crops.mirror_image(images), images)


def image_size(specs: Mapping[str, tf.TensorSpec]) -> Optional[int]:
  """The side of the crops that a method with these inputs sees, px, or None if it sees none."""
  return specs['image'].shape[1] if 'image' in specs else None
