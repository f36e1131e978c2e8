"""Draws hands and objects in the regions of the bench's splits."""
from collections.abc import Callable

import gin
import numpy as np

from dhpe_tf.errors import UserError
from dhpe_tf.hand import anatomy, collisions, hand_model, joint_angles, skeletons
from dhpe_tf.hand.mano_layer import ManoLayer
from dhpe_tf.synthesis import hand_renderer, objects
from dhpe_tf.tasks.hand.bench import axes, splits

_MOST_ROUNDS = 200
_TOLERANCE_M = 0.005


@gin.configurable(module='bench', denylist=['regions'])
class Draws:
  """Draws the hands of splits.

  Attributes:
    regions: of the bench.
  """

  def __init__(self, regions: axes.Regions, shape_bound: float = 3., shape_spread: float = 0.6, no_object: float = 0.4):
    """Stores how hands are drawn.

    Args:
      regions: of the bench.
      shape_bound: held-out shape coefficients are uniform in +- this.
      shape_spread: standard deviation of those for training.
      no_object: share of hands without an object among those whose objects are not held out.
    """
    self.regions = regions
    self._bound, self._spread, self._no_object = shape_bound, shape_spread, no_object
    self._training_kinds = sorted(set(objects.KINDS) - {objects.NONE} - set(regions.held_out_kinds))

  def of_split(self, split: str, count: int, seed: int) -> axes.Values:
    """Draws the hands of a split: of 'train', of a test split, or of the control from all regions.

    Args:
      split: its name.
      count: number of hands.
      seed: of all draws.

    Raises:
      UserError: hardly any hand that is drawn lies in a region.
    """
    outside = splits.extrapolated(split)
    region = {axis: None if split == splits.CONTROL else axes.HELD_OUT if axis in outside else axes.TRAINING
              for axis in axes.AXES}
    seeds = [int(number >> 1) for number in np.random.SeedSequence(seed).generate_state(4)]
    return axes.Values(
        shape=self._shapes(region['shape'], count, seeds[0]),
        pose=self._chosen('articulation', 'pose', region['articulation'], count, seeds[1], _poses),
        rotation=self._chosen('view', 'rotation', region['view'], count, seeds[2], _rotations),
        **self._objects(region['object'], count, seeds[3]))

  def _chosen(self, axis: str, field: str, region, count: int, seed: int,
              draw: Callable[[int, int], np.ndarray]) -> np.ndarray:
    """Draws until `count` rows lie in the region of an axis; `region` None takes all."""
    kept, missing = [], count
    for number in range(_MOST_ROUNDS):
      rows = draw(max(256, count // 2), seed + number)
      if region is not None:
        rows = rows[self.regions.of(axis, _only(field, rows)) == region]
      kept.append(rows[:missing])
      missing -= len(kept[-1])
      if not missing:
        return np.concatenate(kept)
    raise UserError(f'axis {axis}: hardly any hand that is drawn lies in the {region} region; change its ends in '
                    'bench.regions')

  def _shapes(self, region, count: int, seed: int) -> np.ndarray:
    """Shape coefficients [count, 10]; half of those of all regions are as in training."""
    def training(number: int, seed: int) -> np.ndarray:
      return np.random.default_rng([seed, 0]).normal(0, self._spread, [number, hand_model.NUM_SHAPE])

    def held_out(number: int, seed: int) -> np.ndarray:
      return np.random.default_rng([seed, 1]).uniform(-self._bound, self._bound, [number, hand_model.NUM_SHAPE])

    draws = {axes.TRAINING: training, axes.HELD_OUT: held_out}
    parts = [self._chosen('shape', 'shape', name, number, seed, draws[name]) for name, number in (
        ((region, count),) if region else ((axes.TRAINING, count // 2), (axes.HELD_OUT, count - count // 2))) if number]
    shapes = np.concatenate(parts)
    return shapes[np.random.default_rng([seed, 2]).permutation(count)]

  def _objects(self, region, count: int, seed: int) -> dict[str, np.ndarray]:
    """Kinds and sizes of objects, by the names of `axes.Values`."""
    random = np.random.default_rng(seed)
    if region == axes.HELD_OUT:
      kind = random.choice(self.regions.held_out_kinds, count)
    else:
      kinds = self._training_kinds + list(self.regions.held_out_kinds if region is None else ())
      kind = np.where(random.uniform(size=count) < self._no_object, objects.NONE, random.choice(kinds, count))
    return {'kind': kind, 'half_sizes_m': objects.sample_sizes(kind, seed)}


def recombined(training: axes.Values, count: int, seed: int) -> axes.Values:
  """Makes hands from training hands alone: each finger takes the angles of another hand's, as far as none collide.

  Shapes, views and objects are those of random training hands. The hand model lets fingers be exchanged; no
  value outside the training hands is used.

  Args:
    training: the training hands.
    count: number of hands to make.
    seed: of all draws.

  Raises:
    UserError: hardly any hand is free of collisions.
  """
  random, model = np.random.default_rng(seed), hand_model.load_hand_model()
  angles = joint_angles.pose_to_angles(np.asarray(training.pose, np.float64), model).numpy()
  angles = angles.reshape(len(angles), len(skeletons.MANO_FINGERS), 3, 3)
  layer, kept, missing = ManoLayer(model), [], count
  for _ in range(_MOST_ROUNDS):
    number = max(256, 2 * missing)
    source = random.integers(len(angles), size=[number, angles.shape[1]])
    mixed = np.stack([angles[source[:, finger], finger] for finger in range(angles.shape[1])], axis=1)
    poses = joint_angles.angles_to_pose(mixed.reshape(number, -1, 3), model).numpy().astype(np.float32)
    joints = layer(poses, np.zeros([number, hand_model.NUM_SHAPE], np.float32))['keypoints'].numpy()
    kept.append(poses[collisions.penetration_m(joints, model) <= _TOLERANCE_M][:missing])
    missing -= len(kept[-1])
    if not missing:
      break
  else:
    raise UserError('the fingers of nearly all exchanged poses collide; draw more training hands')
  rows = random.integers(len(angles), size=[3, count])
  return axes.Values(training.shape[rows[0]], np.concatenate(kept), training.rotation[rows[1]], training.kind[rows[2]],
                     training.half_sizes_m[rows[2]])


def _poses(count: int, seed: int) -> np.ndarray:
  """Poses [count, 45] of the generator."""
  return anatomy.sample_poses(count, seed)


def _rotations(count: int, seed: int) -> np.ndarray:
  """Rotations [count, 4] of upright hands seen from any side."""
  return hand_renderer.sample_upright(count, seed).numpy()


def _only(field: str, rows: np.ndarray) -> axes.Values:
  """Values of which one field is known."""
  return axes.Values(**{name: rows if name == field else None for name in axes.Values._fields})
