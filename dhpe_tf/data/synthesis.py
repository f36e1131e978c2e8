"""Pictures of the built-in hand with every label: random pose, shape, skin, camera, light, background and occluder."""
from typing import NamedTuple

import gin
import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageFilter

from dhpe_tf.data.backgrounds import Backgrounds
from dhpe_tf.geometry import cameras, meshes, rotations
from dhpe_tf.hand import anatomy, mano_layer, skeletons
from dhpe_tf.hand.hand_model import HandModel
from dhpe_tf.rendering import rasterizer, render, shading, texture


class Scenes(NamedTuple):
  """A batch of hands before cameras; right hands.

  Attributes:
    pose: [B, 45]; shape: [B, 10]; rotation: [B, 4] unit quaternion.
    vertices_m: [B, V, 3] camera frame; keypoints_m: [B, 21, 3].
    intrinsics: [B, 3, 3] px.
  """

  pose: tf.Tensor
  shape: tf.Tensor
  rotation: tf.Tensor
  vertices_m: tf.Tensor
  keypoints_m: tf.Tensor
  intrinsics: tf.Tensor


class Pictures(NamedTuple):
  """What is seen of `Scenes` before the backgrounds come in, NumPy.

  Attributes:
    rgb: [B, S, S, 3] 0..1, of the hand alone; alpha: [B, S, S].
    joints_px: [B, 21, 2]; seen: [B, 21] bool, whether the joint is not behind another part of the hand.
  """

  rgb: np.ndarray
  alpha: np.ndarray
  joints_px: np.ndarray
  seen: np.ndarray


@gin.configurable(module='synthesis')
class HandRenderer:
  """Draws batches of random hands, the same ones for the same seed."""

  def __init__(self, hand_model: HandModel, image_size: int = 224, batch_size: int = 32, skins: int = 256,
               skin_seed: int = 0, focal: tuple = (0.9, 2.5), fill: tuple = (0.4, 0.7), shift: float = 0.12,
               skin_thickness_m: float = 0.02):
    """Prepares the graph and a set of skins.

    Args:
      hand_model: the hand.
      image_size: height and width in pixels.
      batch_size: hands drawn together.
      skins: number of different skins.
      skin_seed: of the skins.
      focal: least and greatest focal length in units of the image side, uniform in the logarithm.
      fill: least and greatest share of the image side that the box around the keypoints takes.
      shift: largest distance of that box from the image centre, as a share of the side.
      skin_thickness_m: a joint is seen if the surface in front of it is nearer to it than this.
    """
    self._layer = mano_layer.ManoLayer(hand_model)
    self._faces = hand_model.closed_faces
    self._size, self._batch = image_size, batch_size
    self._focal, self._fill, self._shift = focal, fill, shift
    self._thickness_m = skin_thickness_m
    self._skins = texture.sample_skin(hand_model, skins, skin_seed)
    self._draw = tf.function(self._draw_graph)

  def sample(self, seed: int) -> tuple[Scenes, Pictures]:
    """A batch of scenes and pictures."""
    random = np.random.default_rng(seed)
    poses = anatomy.sample_poses(self._batch, seed)
    scenes, rgb, alpha, joints_px, seen = self._draw(
        tf.cast(poses, tf.float32), tf.constant(random.normal(0, 1, (self._batch, 10)), tf.float32),
        tf.cast(rotations.random_rotations(self._batch, seed), tf.float32),
        tf.constant(random.uniform(0, 1, (self._batch, 4)), tf.float32),
        tf.constant(self._skins[random.integers(len(self._skins), size=self._batch)]), tf.constant([seed, 1]))
    return scenes, Pictures(rgb.numpy(), alpha.numpy(), joints_px.numpy(), seen.numpy())

  def _draw_graph(self, pose, shape, rotation, draws, albedo, seed):
    scenes = self._place(pose, shape, rotation, draws)
    pixels = cameras.project_pinhole(scenes.vertices_m, scenes.intrinsics)
    vertices = tf.concat([pixels, scenes.vertices_m[..., 2:]], axis=-1)
    rgb, alpha, visible = render.render_rgb(
        vertices, self._faces, albedo, shading.sample_lights(self._batch, seed), (self._size, self._size),
        normals=meshes.vertex_normals(scenes.vertices_m, self._faces), perspective=True)
    joints_px = cameras.project_pinhole(scenes.keypoints_m, scenes.intrinsics)
    return scenes, rgb, alpha[..., 0], joints_px, self._seen(visible, joints_px, scenes.keypoints_m[..., 2])

  def _place(self, pose, shape, rotation, draws) -> Scenes:
    """Puts posed hands before cameras such that they fill the chosen share of the picture."""
    hand = self._layer(pose, shape)
    matrix = rotations.quaternion_to_matrix(rotation)
    root = hand['keypoints'][:, skeletons.ROOT, None]
    vertices = tf.matmul(hand['vertices'] - root, matrix, transpose_b=True)
    keypoints = tf.matmul(hand['keypoints'] - root, matrix, transpose_b=True)
    focal_px = self._size * self._focal[0] * (self._focal[1] / self._focal[0]) ** draws[:, 0]
    fill = self._fill[0] + (self._fill[1] - self._fill[0]) * draws[:, 1]
    low, high = tf.reduce_min(keypoints[..., :2], axis=1), tf.reduce_max(keypoints[..., :2], axis=1)
    extent_m = tf.reduce_max(high - low, axis=-1)
    depth_m = focal_px * extent_m / (fill * self._size)
    wanted_px = (2 * draws[:, 2:4] - 1) * self._shift * self._size
    sideways = wanted_px * (depth_m / focal_px)[:, None] - (low + high) / 2
    place = tf.concat([sideways, depth_m[:, None]], axis=-1)[:, None]
    focal_px = tf.stack([focal_px, focal_px], axis=-1)
    intrinsics = cameras.make_intrinsics(focal_px, tf.fill(tf.shape(focal_px), self._size / 2))
    return Scenes(pose, shape, rotation, vertices + place, keypoints + place, intrinsics)

  def _seen(self, visible: rasterizer.Visible, joints_px, joint_depth_m) -> tf.Tensor:
    """Whether each joint [B, 21] lies just behind the surface that is seen at its pixel."""
    depth = rasterizer.to_image(visible, visible.depth[:, None])[..., 0]
    samples = tf.shape(depth)[1] // self._size
    at = tf.cast(tf.floor(joints_px * tf.cast(samples, tf.float32)), tf.int32)
    inside = tf.reduce_all((at >= 0) & (at < self._size * samples), axis=-1)
    at = tf.where(inside[..., None], at, 0)
    surface_m = tf.gather_nd(depth, at[..., ::-1], batch_dims=1)
    # Where no surface is seen (depth 0) a joint at the rim of the hand is.
    return inside & ((surface_m == 0) | (joint_depth_m - surface_m < self._thickness_m))


@gin.configurable(module='synthesis', denylist=['pictures', 'index', 'backgrounds', 'random'])
def compose(pictures: Pictures, index: int, backgrounds: Backgrounds, random: np.random.Generator,
            forearm: float = 0.75, occluder: float = 0.2,
            blur: float = 0.3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Lays a hand over a background, with a forearm behind it and now and then an object before it.

  Args:
    pictures: of a batch.
    index: of the hand in the batch.
    backgrounds: where grounds and objects come from.
    random: drawn from.
    forearm: probability of a forearm (the hand model ends at the wrist; people do not).
    occluder: probability of an object before the hand.
    blur: probability of a picture out of focus.

  Returns:
    picture uint8 [S, S, 3]; mask uint8 [S, S], 255 where the hand is seen; seen [21] bool.
  """
  rgb, alpha = pictures.rgb[index], pictures.alpha[index]
  joints, seen = pictures.joints_px[index], pictures.seen[index].copy()
  side = alpha.shape[0]
  ground = backgrounds.draw(random, side).astype(np.float32)
  if random.uniform() < forearm:
    ground = _forearm(ground, rgb, alpha, joints, random)
  picture = ground + alpha[..., None] * (255 * rgb - ground)
  mask = alpha
  if random.uniform() < occluder:
    cover = _object_mask(random, side)
    picture += cover[..., None] * (backgrounds.draw(random, side) - picture)
    mask = alpha * (1 - cover)
    at = np.clip(joints.astype(int), 0, side - 1)
    seen &= cover[at[:, 1], at[:, 0]] < 0.5
  image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
  if random.uniform() < blur:
    image = image.filter(ImageFilter.GaussianBlur(random.uniform(0.4, side / 120)))
  return np.asarray(image), np.round(255 * mask).astype(np.uint8), seen


def _forearm(ground: np.ndarray, rgb: np.ndarray, alpha: np.ndarray, joints: np.ndarray,
             random: np.random.Generator) -> np.ndarray:
  """Draws a forearm or sleeve from the wrist out of the picture, shaded across."""
  side = alpha.shape[0]
  wrist, knuckles = joints[0], joints[[5, 9, 13, 17]].mean(axis=0)
  away = wrist - knuckles
  length = np.linalg.norm(away)
  if length < side / 20:  # the arm points at the camera or away from it
    return ground
  angle = np.arctan2(away[1], away[0]) + random.normal(0, 0.35)
  along = np.array([np.cos(angle), np.sin(angle)])
  x, y = np.meshgrid(np.arange(side) + 0.5 - wrist[0], np.arange(side) + 0.5 - wrist[1])
  far, across = x * along[0] + y * along[1], y * along[0] - x * along[1]
  half_width = length * random.uniform(0.26, 0.36) + np.maximum(far, 0) * random.uniform(0, 0.2)
  cover = np.clip(half_width - np.abs(across) + 0.5, 0, 1) * np.clip(far + length * 0.1, 0, 1)
  weight = alpha.sum()
  skin = 255 * (rgb * alpha[..., None]).sum(axis=(0, 1)) / max(weight, 1)
  bare = random.uniform() < 0.6
  colour = skin if bare else random.uniform(0, 255, 3)
  sleeve_from = 0 if bare else length * random.uniform(0, 0.8)
  shade = 1 - random.uniform(0.1, 0.5) * (across / np.maximum(half_width, 1)) ** 2 + random.normal(0, 0.1)
  arm = np.where((far > sleeve_from)[..., None], colour, skin) * shade[..., None]
  return ground + cover[..., None].astype(np.float32) * (arm - ground)


def _object_mask(random: np.random.Generator, side: int) -> np.ndarray:
  """The outline of an object: a polygon or ellipse somewhere in the picture, float32 [side, side] 0..1."""
  image = Image.new('L', (side, side))
  draw = ImageDraw.Draw(image)
  center, size = random.uniform(0.1, 0.9, 2) * side, random.uniform(0.08, 0.3, 2) * side
  if random.uniform() < 0.5:
    draw.ellipse([*(center - size / 2), *(center + size / 2)], fill=255)
  else:
    angles = np.sort(random.uniform(0, 2 * np.pi, random.integers(3, 7)))
    corners = center + size / 1.5 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    draw.polygon([tuple(corner) for corner in corners], fill=255)
  return np.asarray(image.filter(ImageFilter.GaussianBlur(0.7)), np.float32) / 255
