"""What the landmark network sees in a crop: keypoints in the picture, their depths, and the hand in metres."""
from typing import NamedTuple, Optional

import gin
import tensorflow as tf

from dhpe_tf.geometry import crops
from dhpe_tf.hand import skeletons
from dhpe_tf.networks import landmark_net

# Of the packed form: 2D joints, depth, the hand in metres, spread.
_SIZES = (2, 1, 3, 1)
NUMBERS = sum(_SIZES)  # for each keypoint
# What is used of the answers of `landmark_net`.
USED = ('joints_2d_px', 'joints_depth_px', 'world_joints_m', 'presence')


class Evidence(NamedTuple):
  """The keypoints of B hands in crop space; all hands are right ones.

  Attributes:
    joints_2d: `[B, 21, 2]` crop space, where the joints are seen.
    depth: `[B, 21]` crop units below the wrist, away from the camera.
    world_m: `[B, 21, 3]` metres about their mean, axes of the crop.
    spread: `[B, 21]` crop units, half the distance between the 2D joints in the crop and in its mirror image; 0 where
      only the crop was looked at.
  """

  joints_2d: tf.Tensor
  depth: tf.Tensor
  world_m: tf.Tensor
  spread: tf.Tensor

  def with_joints(self, joints_2d: tf.Tensor, weight: tf.Tensor) -> 'Evidence':
    """The evidence with known 2D joints `[B, 21, 2]` in the place of those seen where `weight` `[B, 21]` is above 0."""
    known = weight > 0
    return self._replace(joints_2d=tf.where(known[..., None], joints_2d, self.joints_2d),
                         spread=tf.where(known, 0., self.spread))

  def pack(self) -> tf.Tensor:
    """One tensor `[B, 21, 7]`, the entry 'landmark_evidence' of a batch."""
    return tf.concat([self.joints_2d, self.depth[..., None], self.world_m, self.spread[..., None]], axis=-1)


def unpack(packed: tf.Tensor) -> Evidence:
  """The parts of a packed tensor `[B, 21, 7]`; the inverse of `Evidence.pack`."""
  joints_2d, depth, world_m, spread = tf.split(packed, _SIZES, axis=-1)
  return Evidence(joints_2d, depth[..., 0], world_m, spread[..., 0])


@gin.configurable(module='landmarks', denylist=['answers'])
def from_answers(answers: dict[str, tf.Tensor], depth_factor: float = 2.5) -> Evidence:
  """Converts answers of `landmark_net`, px of its crop, to crop space.

  Args:
    answers: of the network.
    depth_factor: of the network's depths; MediaPipe divides them by 0.4.
  """
  half = landmark_net.SIZE_PX / 2
  depth = answers['joints_depth_px']
  depth = (depth - depth[:, skeletons.WRIST, None]) * (depth_factor / half)
  world_m = answers['world_joints_m']
  return Evidence(answers['joints_2d_px'] / half - 1., depth, world_m - tf.reduce_mean(world_m, axis=1, keepdims=True),
                  tf.zeros_like(depth))


@gin.configurable(module='landmarks', denylist=['evidence'])
def to_fingertips(evidence: Evidence, inside: float = 0.33) -> Evidence:
  """Moves the tips from where the landmark network sees them, inside the fingers, to the ends of the fingers.

    tip' = j + (tip - j) / (1 - inside),   j the joint before the tip

  On rendered hands, whose tips are known, the network's lie 0.30 to 0.38 of the last bone short of them in the median
  (`tests.benchmarks.fingertips`). A hand that is fitted to them as they are ends before the real fingers.

  Args:
    evidence: as the network sees it.
    inside: share of the last bone by which the tips lie inside.
  """
  is_tip = [number in skeletons.TIPS for number in range(skeletons.NUM_KEYPOINTS)]
  before = [number - tip for number, tip in enumerate(is_tip)]  # the joint before a tip, and every other one itself
  stretched = 1. / (1. - inside)

  def moved(points: tf.Tensor) -> tf.Tensor:
    """Points [B, 21, C] with other tips."""
    start = tf.gather(points, before, axis=1)
    return start + (points - start) * stretched

  world_m = moved(evidence.world_m)
  return Evidence(moved(evidence.joints_2d), moved(evidence.depth[..., None])[..., 0],
                  world_m - tf.reduce_mean(world_m, axis=1, keepdims=True),
                  tf.where(is_tip, evidence.spread * stretched, evidence.spread))


def of_images(network: tf.keras.Model, images: tf.Tensor, mirrored: bool) -> tuple[Evidence, tf.Tensor]:
  """Looks at crops, and with `mirrored` at their mirror images too, and averages what is seen.

  Args:
    network: a `landmark_net`.
    images: `[B, 224, 224, 3]` in 0..1, right hands.
    mirrored: whether to look at the mirror images; this doubles the time.

  Returns:
    The evidence, and the probability `[B]` that a crop shows a hand.
  """
  # Two calls and not one of twice the batch, so that two threads can share the work for a single hand.
  answers = network(images, training=False)
  return of_answers(answers, network(crops.mirror_image(images), training=False) if mirrored else None)


def of_answers(answers: dict[str, tf.Tensor],
               mirrored_answers: Optional[dict[str, tf.Tensor]]) -> tuple[Evidence, tf.Tensor]:
  """Averages what `landmark_net` sees in crops and in their mirror images.

  Args:
    answers: of the network, to crops of B right hands; those that `USED` names.
    mirrored_answers: to their mirror images; None if it has not looked at them.

  Returns:
    As `of_images`.
  """
  if mirrored_answers is None:
    return from_answers(answers), answers['presence']
  first, second = from_answers(answers), from_answers(mirrored_answers)
  joints_2d, world_m = crops.mirror_points(second.joints_2d), crops.mirror_points(second.world_m)
  spread = tf.norm(first.joints_2d - joints_2d, axis=-1) / 2
  presence = (answers['presence'] + mirrored_answers['presence']) / 2
  return Evidence((first.joints_2d + joints_2d) / 2, (first.depth + second.depth) / 2, (first.world_m + world_m) / 2,
                  spread), presence
