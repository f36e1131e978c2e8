"""Hands for fixtures: the built-in hand before a camera, drawn, so that the labels of the pictures are true."""
import dataclasses

import numpy as np
from PIL import Image, ImageDraw
from scipy.spatial import transform

from dhpe_tf.hand import hand_model

_LIGHT = np.array([-.3, -.5, -.8])


@dataclasses.dataclass(frozen=True)
class Hand:
  """A hand in camera axes: keypoints `[21, 3]` and vertices `[V, 3]` in metres, and its model."""

  side: str
  keypoints_m: np.ndarray
  vertices_m: np.ndarray
  model: hand_model.HandModel

  def face_joints(self) -> np.ndarray:
    """The skinning joint `[F]` that each face belongs to most."""
    return self.model.weights[self.model.faces].sum(1).argmax(1)


def make(side: str, seed: int, center_m=(0., 0., .5), spread: float = .6) -> Hand:
  """A hand at rest, turned at random, whose middle MCP lies at `center_m`."""
  model = hand_model.load_hand_model(side=side)
  rng = np.random.default_rng(seed)
  upright = transform.Rotation.from_euler('xz', [90., -90. if side == 'right' else 90.], degrees=True)
  rotation = (transform.Rotation.from_rotvec(rng.normal(size=3) * spread) * upright).as_matrix()
  move = np.asarray(center_m) - model.rest_keypoints[9] @ rotation.T
  return Hand(side, model.rest_keypoints @ rotation.T + move, model.v_template @ rotation.T + move, model)


def project(points_m: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
  """Pixels `[N, 2]`, pixel centres at +0.5 as far as the intrinsics say so."""
  image = points_m @ np.asarray(intrinsics).T
  return image[:, :2] / image[:, 2:]


def draw(hands: list[Hand], intrinsics: np.ndarray, size: tuple[int, int], seed: int = 0) -> Image.Image:
  """A picture (size: height, width) of the hands over patches of colour, RGB."""
  patches = np.random.default_rng(seed).integers(0, 90, [-(-size[0] // 8), -(-size[1] // 8), 3], np.uint8)
  image = Image.fromarray(patches.repeat(8, 0).repeat(8, 1)[:size[0], :size[1]])
  pencil = ImageDraw.Draw(image)
  for hand in hands:
    _fill(pencil, hand, intrinsics, lambda i, shade: (int(120 + 120 * shade[i]), int(90 + 90 * shade[i]), 80))
  return image


def draw_ids(hands: list[Hand], intrinsics: np.ndarray, size: tuple[int, int], ids: list[np.ndarray],
             background: np.ndarray) -> Image.Image:
  """A picture of one channel over `background` `[H, W]` in which each face of a hand has its number of `ids` `[F]`."""
  image = Image.fromarray(background.astype(np.uint8))
  pencil = ImageDraw.Draw(image)
  for hand, numbers in zip(hands, ids):
    _fill(pencil, hand, intrinsics, lambda i, shade, numbers=numbers: int(numbers[i]))
  return image


def _fill(pencil: ImageDraw.ImageDraw, hand: Hand, intrinsics: np.ndarray, colour) -> None:
  """Fills the faces from far to near."""
  corners = hand.vertices_m[hand.model.faces]
  pixels = project(hand.vertices_m, intrinsics)[hand.model.faces]
  normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
  shade = np.clip(normals @ _LIGHT / np.linalg.norm(normals, axis=1), 0, 1)
  for i in np.argsort(-corners[..., 2].mean(1)):
    # Pillow counts pixel centres at whole numbers.
    pencil.polygon([tuple(corner - .5) for corner in pixels[i]], fill=colour(i, shade))
