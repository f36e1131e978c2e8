"""Renders the built-in hand with all labels, in random pose, shape, skin, view, camera and light, also with objects.

`compositing` places the result on backgrounds.
"""
import functools
from typing import NamedTuple, Optional

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import cameras, meshes, rotations
from dhpe_tf.hand import anatomy, mano_layer, parameters, skeletons
from dhpe_tf.hand.hand_model import HandModel
from dhpe_tf.rendering import rasterizer, render, shading
from dhpe_tf.synthesis import objects as things

_PALM_THICKNESS_M = 0.012  # from the knuckles' centres to the skin of the palm
_MOST_TURN_RAD = np.deg2rad(40)
_SAMPLES = 2  # points per pixel in each direction


class Scenes(NamedTuple):
  """A batch of right hands before cameras; axes x right, y down, z forward.

  Attributes:
    pose: [B, 45] axis-angle about the flat hand, radians.
    shape: [B, 10] shape coefficients.
    rotation: [B, 4] unit quaternion (w, x, y, z), hand frame to camera axes.
    vertices_m: [B, V, 3] in camera axes, metres.
    keypoints_m: [B, 21, 3] in camera axes, metres.
    intrinsics: [B, 3, 3] pixels.
  """

  pose: tf.Tensor
  shape: tf.Tensor
  rotation: tf.Tensor
  vertices_m: tf.Tensor
  keypoints_m: tf.Tensor
  intrinsics: tf.Tensor


class Hands(NamedTuple):
  """What the hands of a batch are to look like, as NumPy arrays.

  Attributes:
    pose: [B, 45] axis-angle about the flat hand, radians.
    shape: [B, 10] shape coefficients.
    rotation: [B, 4] unit quaternion (w, x, y, z), hand frame to camera axes.
  """

  pose: np.ndarray
  shape: np.ndarray
  rotation: np.ndarray


class Pictures(NamedTuple):
  """Rendered `Scenes` without background, as NumPy arrays.

  Attributes:
    rgb: [B, S, S, 3] in 0..1, the hand, and the object if there is one.
    alpha: [B, S, S] in 0..1, share of each pixel that they cover.
    hand_alpha: [B, S, S] in 0..1, share of each pixel in which the hand is seen.
    joints_px: [B, 21, 2] pixels.
    seen: [B, 21] bool, whether the joint is not behind another part of the hand or the object.
  """

  rgb: np.ndarray
  alpha: np.ndarray
  hand_alpha: np.ndarray
  joints_px: np.ndarray
  seen: np.ndarray


def sample_views(count: int, seed: int, spread_deg: Optional[float] = None) -> tf.Tensor:
  """Draws random rotations of the hand before the camera, unit quaternions [count, 4].

  With `spread_deg` the rotation is q = q_turn q_tilt q_facing: the palm or the back is turned to the camera, tilted
  about a random axis of the picture plane, and turned in that plane by a uniform angle.

  Args:
    count: number of rotations.
    seed: equal seeds give equal rotations.
    spread_deg: standard deviation of the tilt in degrees; None for rotations that are uniform over all of SO(3).
  """
  if spread_deg is None:
    return tf.cast(rotations.random_rotations(count, seed), tf.float32)
  random = np.random.default_rng(seed)
  zero = np.zeros(count)
  facing = random.choice([-1., 1.], count) * np.pi / 4  # half of +-90 degrees about x: back (+y) to +-z
  tilt, around = np.deg2rad(random.normal(0, spread_deg / 2, count)), random.uniform(0, 2 * np.pi, count)
  turn = random.uniform(0, np.pi, count)
  steps = ((np.cos(turn), zero, zero, np.sin(turn)),
           (np.cos(tilt), np.sin(tilt) * np.cos(around), np.sin(tilt) * np.sin(around), zero),
           (np.cos(facing), np.sin(facing), zero, zero))
  return functools.reduce(rotations.quaternion_multiply, [tf.constant(np.stack(q, -1), tf.float32) for q in steps])


@gin.configurable(module='synthesis')
def sample_upright(count: int, seed: int, turn_deg: float = 40., tilt_deg: float = 45.) -> tf.Tensor:
  """Draws rotations [count, 4] of upright hands: fingers upward, seen from any side, turned and tilted within limits.

  The rotation is q = q_z(turn) q_x(tilt) q_y(any angle) q_upright.

  Args:
    count: number of rotations.
    seed: equal seeds give equal rotations.
    turn_deg: largest turn in the picture plane either way, in degrees.
    tilt_deg: largest tilt of the fingers toward the camera or away from it, in degrees.
  """
  draws = np.random.default_rng([seed, 2]).uniform(-1, 1, (3, count, 1))
  x, y, z = (np.deg2rad(limit) * draw * axis for limit, draw, axis in zip((tilt_deg, 180, turn_deg), draws, np.eye(3)))
  rotation = tf.constant(np.tile(parameters.upright('right'), (count, 1)), tf.float32)
  for axis_angle in (y, x, z):
    turn = rotations.axis_angle_to_quaternion(tf.constant(axis_angle, tf.float32))
    rotation = rotations.quaternion_multiply(turn, rotation)
  return rotation


@gin.configurable(module='synthesis')
class HandRenderer:
  """Renders batches of random hands; equal seeds give equal batches."""

  def __init__(self, hand_model: HandModel, image_size: int = 224, batch_size: int = 32, focal: tuple = (0.9, 2.5),
               fill: tuple = (0.4, 0.7), shift: float = 0.12, nearest_m: float = 0.1,
               view_spread_deg: Optional[float] = None, upright: bool = False,
               skin_thickness_m: float = 0.02):
    """Stores the ranges of the draws and prepares the graph.

    Args:
      hand_model: the hand.
      image_size: height and width, px.
      batch_size: hands rendered together.
      focal: smallest and largest focal length in units of the image side; the logarithm is uniform.
      fill: smallest and largest share of the image side that the box around the keypoints takes.
      shift: largest distance of that box from the image centre in x and in y, as a share of the side.
      nearest_m: smallest depth of the hand's nearest point, metres; a hand moved back to it fills less of the image.
      view_spread_deg: `spread_deg` of `sample_views`.
      upright: whether rotations come from `sample_upright` instead of `sample_views`.
      skin_thickness_m: a joint is visible if it lies at most this far behind the surface at its pixel, metres.
    """
    self._layer = mano_layer.ManoLayer(hand_model)
    self._faces = hand_model.closed_faces
    self._size, self._batch = image_size, batch_size
    self._focal, self._fill, self._shift, self._nearest_m = focal, fill, shift, nearest_m
    self._sample_views = sample_upright if upright else functools.partial(sample_views, spread_deg=view_spread_deg)
    self._thickness_m = skin_thickness_m
    # AutoGraph has nothing to convert here, and searching for it would take most of the start.
    self._draw = tf.function(self._draw_graph, autograph=False)

  def sample(self, seed: int, skins: np.ndarray) -> tuple[Scenes, Pictures]:
    """Renders a batch of random hands.

    Args:
      seed: 0 .. 2^31 - 1.
      skins: [N, V, 3] float32, linear reflectance, to choose from (`texture.sample_skin`).

    Returns:
      The scenes and their pictures.
    """
    random = np.random.default_rng(seed)
    poses = anatomy.sample_poses(self._batch, seed)
    shape = random.normal(0, 1, (self._batch, 10))
    return self._render(Hands(poses, shape, self._sample_views(self._batch, seed)), random, seed, skins, None)

  def render(self, hands: Hands, objects: things.Objects, seed: int,
             skins: np.ndarray) -> tuple[Scenes, Pictures]:
    """Renders given hands with objects; cameras, skins, lights and the objects' places are drawn.

    Half of the objects lie in the palm, across the fingers; fingers may run into them. The others float between the
    camera and a joint.

    Args:
      hands: the batch.
      objects: of the same batch.
      seed: 0 .. 2^31 - 1.
      skins: [N, V, 3] float32, linear reflectance, to choose from.

    Returns:
      The scenes and their pictures.
    """
    return self._render(hands, np.random.default_rng([seed, 1]), seed, skins, objects)

  def _render(self, hands: Hands, random: np.random.Generator, seed: int, skins: np.ndarray,
              objects: Optional[things.Objects]) -> tuple[Scenes, Pictures]:
    """Renders hands; `random` draws cameras and skins, then the objects' places."""
    draws = tf.constant(random.uniform(0, 1, (self._batch, 4)), tf.float32)
    albedo = tf.constant(skins[random.integers(len(skins), size=self._batch)])
    thing = None
    if objects is not None:
      parts = (objects.vertices_m, objects.normals, objects.albedo, objects.half_sizes_m,
               random.uniform(0, 1, (self._batch, 8)), random.integers(skeletons.NUM_KEYPOINTS, size=self._batch))
      thing = tuple(tf.constant(part, tf.int32 if part.dtype == int else tf.float32) for part in parts)
    scenes, *pictures = self._draw(
        tf.cast(hands.pose, tf.float32), tf.constant(hands.shape, tf.float32), tf.cast(hands.rotation, tf.float32),
        draws, albedo, tf.constant([seed, 1]), thing)
    return scenes, Pictures(*(part.numpy() for part in pictures))

  def _draw_graph(self, pose, shape, rotation, draws, albedo, seed, thing):
    """Graph of `_render`: places the hands, renders them and projects their joints.

    Args:
      pose: [B, 45].
      shape: [B, 10].
      rotation: [B, 4].
      draws: [B, 4] uniform in 0..1, for focal length, fill and the two coordinates of the shift.
      albedo: [B, V, 3] linear reflectance.
      seed: [2] of the lights.
      thing: vertices, normals and reflectances [B, O, 3] of objects, their half sizes [B, 3], draws [B, 8] uniform in
        0..1 for their places, and the joint [B] before which they float; None for hands alone.

    Returns:
      Scenes, rgb [B, S, S, 3], alpha and hand_alpha [B, S, S], joints_px [B, 21, 2] and seen [B, 21].
    """
    scenes = self._place(pose, shape, rotation, draws)
    surface_m, normals = scenes.vertices_m, meshes.vertex_normals(scenes.vertices_m, self._faces)
    faces = self._faces
    if thing is not None:
      place_m, turn = place_objects(scenes.keypoints_m, thing[3], thing[4], thing[5])
      surface_m = tf.concat([surface_m, tf.matmul(thing[0], turn, transpose_b=True) + place_m[:, None]], axis=1)
      normals = tf.concat([normals, tf.matmul(thing[1], turn, transpose_b=True)], axis=1)
      albedo = tf.concat([albedo, thing[2]], axis=1)
      faces = np.concatenate([faces, things.FACES + self._layer.hand_model.num_vertices])
    pixels = cameras.project_pinhole(surface_m, scenes.intrinsics)
    vertices = tf.concat([pixels, surface_m[..., 2:]], axis=-1)
    rgb, alpha, visible = render.render_rgb(
        vertices, faces, albedo, shading.sample_lights(self._batch, seed), (self._size, self._size),
        normals=normals, samples=_SAMPLES, perspective=True)
    joints_px = cameras.project_pinhole(scenes.keypoints_m, scenes.intrinsics)
    hand_alpha = alpha[..., 0] if thing is None else self._share(visible, visible.face < len(self._faces))
    return (scenes, rgb, alpha[..., 0], hand_alpha, joints_px,
            self._seen(visible, joints_px, scenes.keypoints_m[..., 2]))

  def _share(self, visible: rasterizer.Visible, counted: tf.Tensor) -> tf.Tensor:
    """The share [B, S, S] of each pixel's points that show one of the `counted` [N] surface points."""
    pixel = render.coarse_pixels(visible, _SAMPLES)
    points = tf.math.unsorted_segment_sum(tf.cast(counted, tf.float32), pixel, self._batch * self._size ** 2)
    return tf.reshape(points, [-1, self._size, self._size]) / _SAMPLES ** 2

  def _place(self, pose, shape, rotation, draws) -> Scenes:
    """Poses hands and places them before cameras so that they fill the drawn share of the picture.

    Four fixed-point steps find the place (X, Y, Z) of the root. Each projects the keypoints to a box with centre c
    (relative to the principal point) and longer side g, in pixels, and with the wanted centre c* and side g* sets

      Z' = max(Z g / g*, Z_least),    (X, Y)' = (X, Y) - c Z / f + c* Z' / f.
    """
    hand = self._layer(pose, shape)
    matrix = rotations.quaternion_to_matrix(rotation)
    root = hand['keypoints'][:, skeletons.ROOT, None]
    vertices = tf.matmul(hand['vertices'] - root, matrix, transpose_b=True)
    keypoints = tf.matmul(hand['keypoints'] - root, matrix, transpose_b=True)
    focal_px = self._size * self._focal[0] * (self._focal[1] / self._focal[0]) ** draws[:, 0]
    wanted_side_px = self._size * (self._fill[0] + (self._fill[1] - self._fill[0]) * draws[:, 1])
    wanted_center_px = (2 * draws[:, 2:4] - 1) * self._shift * self._size
    least_m = self._nearest_m - tf.reduce_min(vertices[..., 2], axis=1)
    # Starts far away, where perspective hardly changes the size.
    place = tf.stack([tf.zeros_like(least_m), tf.zeros_like(least_m), least_m + 1], axis=-1)
    for _ in range(4):
      points = keypoints + place[:, None]
      pixels = points[..., :2] / points[..., 2:] * focal_px[:, None, None]
      low, high = tf.reduce_min(pixels, axis=1), tf.reduce_max(pixels, axis=1)
      depth_m = tf.maximum(place[:, 2] * tf.reduce_max(high - low, axis=-1) / wanted_side_px, least_m)
      center_m = (low + high) / 2 * (place[:, 2] / focal_px)[:, None]
      sideways = place[:, :2] - center_m + wanted_center_px * (depth_m / focal_px)[:, None]
      place = tf.concat([sideways, depth_m[:, None]], axis=-1)
    place = place[:, None]
    focal_px = tf.stack([focal_px, focal_px], axis=-1)
    intrinsics = cameras.make_intrinsics(focal_px, tf.fill(tf.shape(focal_px), self._size / 2))
    return Scenes(pose, shape, rotation, vertices + place, keypoints + place, intrinsics)

  def _seen(self, visible: rasterizer.Visible, joints_px, joint_depth_m) -> tf.Tensor:
    """Whether each joint [B, 21] lies in the picture and close behind the surface that is visible at its pixel."""
    depth = rasterizer.to_image(visible, visible.depth[:, None])[..., 0]
    samples = tf.shape(depth)[1] // self._size
    at = tf.cast(tf.floor(joints_px * tf.cast(samples, tf.float32)), tf.int32)
    inside = tf.reduce_all((at >= 0) & (at < self._size * samples), axis=-1)
    at = tf.where(inside[..., None], at, 0)
    surface_m = tf.gather_nd(depth, at[..., ::-1], batch_dims=1)
    # Depth 0 means that no surface is visible there: the joint then lies at the rim of the hand.
    return inside & ((surface_m == 0) | (joint_depth_m - surface_m < self._thickness_m))


def place_objects(keypoints_m: tf.Tensor, half_sizes_m: tf.Tensor, draws: tf.Tensor,
                  joint: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Places objects in or before hands; axes as those of `Scenes`.

  In the hand (draw_0 < 1/2) the object touches the palm, its third axis across the fingers, turned about the palm's
  normal n by up to 40 degrees:

    centre = (w + 3 m) / 4 + (thickness + a) n,    w the wrist, m the mean of the knuckles.

  Otherwise it lies 1 to 4 cm before a joint p, as the camera sees it, in any turn: centre = p - (a + 0.01 + 0.03
  draw_1) p / |p|.

  Args:
    keypoints_m: [B, 21, 3] of right hands.
    half_sizes_m: [B, 3], of which the first is a.
    draws: [B, 8] uniform in 0..1.
    joint: [B] index of the joint before which an object floats.

  Returns:
    Centres [B, 3] and rotations [B, 3, 3] from the object's axes to the camera's.
  """
  knuckles = tf.reduce_mean(tf.gather(keypoints_m, skeletons.KNUCKLES, axis=1), axis=1)
  wrist, index, little = (keypoints_m[:, k] for k in (skeletons.WRIST, skeletons.KNUCKLES[0], skeletons.KNUCKLES[-1]))
  palm = tf.math.l2_normalize(tf.linalg.cross(index - wrist, little - wrist), axis=-1)
  across = tf.math.l2_normalize(index - little - palm * tf.reduce_sum(palm * (index - little), -1, True), axis=-1)
  own = tf.stack([palm, tf.linalg.cross(across, palm), across], axis=-1)
  turned = rotations.axis_angle_to_matrix((2 * draws[:, 2:3] - 1) * _MOST_TURN_RAD * palm)
  held = draws[:, :1] < 0.5
  in_palm = (wrist + 3 * knuckles) / 4 + (_PALM_THICKNESS_M + half_sizes_m[:, :1]) * palm
  before = tf.gather(keypoints_m, joint, batch_dims=1)
  gap_m = half_sizes_m[:, :1] + 0.01 + 0.03 * draws[:, 1:2]
  in_front = before - gap_m * tf.math.l2_normalize(before, axis=-1)
  any_turn = rotations.quaternion_to_matrix(tf.math.l2_normalize(draws[:, 3:7] - 0.5, axis=-1))
  return tf.where(held, in_palm, in_front), tf.where(held[..., None], tf.matmul(turned, own), any_turn)
