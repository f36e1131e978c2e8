"""Batches of evidence instead of pictures: from files of cached evidence, and from random hands."""
import functools
import os
from collections.abc import Sequence
from typing import Any

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf import plain_arrays
from dhpe_tf.data import contract, input_pipeline, tfrecords
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons
from dhpe_tf.methods.dhpe.landmarks import evidence as evidences
from dhpe_tf.methods.dhpe.landmarks.hand_state import HandState
from dhpe_tf.methods.dhpe.landmarks.random_hands import RandomHands, Truth

# What a file of cached evidence holds of the batch, for each hand.
CACHED = ('landmark_evidence', 'joints_2d', 'joints_2d_weight', 'joints_3d', 'joints_z_weight', 'joints_3d_m',
          'joints_3d_weight', 'pose', 'shape', 'parameters_weight')


@gin.configurable(module='landmarks', denylist=['task'])
def evidence_dataset(task: Any, sources: Sequence[tuple[str, str, float]] = (), batch_size: int = 256,
                     random_share: float = 0., error_file: str = '', error_scale: tuple = (0.2, 1.),
                     training: bool = True, seed: int = 0, epoch: int = 0, skip_batches: int = 0,
                     image_size: int = 224) -> tf.data.Dataset:
  """Builds the batches of one epoch; for `Experiment.dataset`. Equal arguments give equal batches.

  Args:
    task: the hand task.
    sources: files of cached evidence (`data_tools.cache_evidence`) as (folder, split, weight). In training they are
      mixed at random in proportion to their weights, without end; otherwise each is read once. Record sets, which have
      pictures, are read by `data.build_dataset`, to measure with.
    batch_size: of all replicas together.
    random_share: share of each training batch that is random hands (`RandomHands`).
    error_file: folder of cached evidence of rendered hands, from whose split 'train' the errors of random hands come.
    error_scale: smallest and largest factor of these errors.
    training: whether to mix, shuffle and repeat.
    seed: of everything random.
    epoch: each epoch has its own order.
    skip_batches: number of batches to leave out at the start.
    image_size: side of the pictures of record sets, px.

  Raises:
    UserError: no source, or a file that is missing or damaged.
  """
  if not sources:
    raise UserError('evidence_dataset.sources is empty; name at least one (folder, split, weight)')
  if not training and all(os.path.isdir(tfrecords.split_folder(root, split)) for root, split, _ in sources):
    return input_pipeline.build_dataset(task, sources, batch_size, image_size, training=False)
  parts = [read(root, split) for root, split, _ in sources]
  if not training:
    hands = {name: np.concatenate([part[name] for part in parts]) for name in CACHED}
    batches = tf.data.Dataset.from_tensor_slices(hands).batch(batch_size).skip(skip_batches)
  else:
    start = tf.constant([seed, epoch * 1_000_003 % (2 ** 31 - 1)], tf.int64)
    weights = [weight for _, _, weight in sources]
    make = _mixture(parts, weights, batch_size, random_share, task.hand_model, error_file, error_scale)
    batches = tf.data.Dataset.range(skip_batches, 2 ** 31).map(
        lambda number: make(tf.random.experimental.stateless_fold_in(start, number)), tf.data.AUTOTUNE)
  batches = batches.map(_completed, tf.data.AUTOTUNE).prefetch(2)
  contract.check(batches.element_spec, task.batch, f'a batch of the task {task.name}')
  return input_pipeline.by_batch(batches)


def path_of(root: str, split: str) -> str:
  """The file of a split's cached evidence."""
  return f'{root}/{split}.npz'


@functools.lru_cache(maxsize=8)
def read(root: str, split: str) -> dict[str, np.ndarray]:
  """Reads cached evidence: arrays of N hands by the names of `CACHED`.

  Raises:
    UserError: the file is missing or damaged.
  """
  path = path_of(root, split)
  arrays = plain_arrays.read_npz(path)
  missing = [name for name in CACHED if name not in arrays]
  count = {len(arrays[name]) for name in CACHED if name not in missing}
  shape = (skeletons.NUM_KEYPOINTS, evidences.NUMBERS)
  if missing or len(count) != 1 or arrays['landmark_evidence'].shape[1:] != shape:
    raise UserError(f'{path}: no cached evidence of hands ({", ".join(missing) or "sizes differ"}); make it again by '
                    'data_tools.cache_evidence')
  return {name: arrays[name].astype(np.float32) for name in CACHED}


def errors_of(hands: dict[str, np.ndarray]) -> np.ndarray:
  """Evidence less truth, `[N, 21, 7]`, of those cached hands whose joints are all known."""
  known = ((hands['joints_2d_weight'] > 0) & (hands['joints_z_weight'] > 0) & (hands['joints_3d_weight'] > 0)).all(1)
  chosen = {name: tf.constant(value[known]) for name, value in hands.items()}
  metres = chosen['joints_3d_m'] - tf.reduce_mean(chosen['joints_3d_m'], axis=1, keepdims=True)
  truth = Truth(chosen['joints_2d'], chosen['joints_3d'][..., 2], metres, chosen['pose'], chosen['shape'])
  return (chosen['landmark_evidence'] - truth.evidence().pack()).numpy()


def _mixture(parts, weights, batch_size, random_share, hand_model, error_file, error_scale):
  """A function seed `[2]` -> batch, of cached hands and random hands."""
  randoms = round(batch_size * random_share)
  counts = [len(part['landmark_evidence']) for part in parts]
  stacked = {name: tf.constant(np.concatenate([part[name] for part in parts])) for name in CACHED}
  logits = tf.constant(np.log(np.concatenate([np.full(n, w / n) for n, w in zip(counts, weights)]))[None], tf.float32)
  hands = RandomHands(HandState(hand_model)) if randoms else None
  errors = tf.constant(errors_of(read(error_file, 'train'))) if randoms else None

  def make(seed):
    seeds = tf.unstack(tf.random.split(seed, 2))
    chosen = tf.random.stateless_categorical(logits, batch_size - randoms, seeds[0])[0]
    batch = {name: tf.gather(value, chosen) for name, value in stacked.items()}
    if not randoms:
      return batch
    drawn = _random_batch(hands, errors, randoms, error_scale, seeds[1])
    return {name: tf.concat([value, drawn[name]], axis=0) for name, value in batch.items()}
  return make


def _random_batch(hands: RandomHands, errors: tf.Tensor, count: int, scale: tuple, seed: tf.Tensor) -> dict:
  """Random hands with evidence that errs as the network does on rendered hands, by the names of `CACHED`."""
  seeds = tf.unstack(tf.random.split(seed, 3))
  truth = hands.sample(count, seeds[0])
  chosen = tf.random.stateless_uniform([count], seeds[1], 0, len(errors), tf.int32)
  factor = tf.random.stateless_uniform([count, 1, 1], seeds[2], *scale)
  ones = tf.ones([count, skeletons.NUM_KEYPOINTS])
  return {'landmark_evidence': truth.evidence().pack() + factor * tf.gather(errors, chosen),
          'joints_2d': truth.joints_2d, 'joints_2d_weight': ones,
          'joints_3d': tf.concat([truth.joints_2d, truth.joints_z[..., None]], axis=-1), 'joints_z_weight': ones,
          'joints_3d_m': truth.joints_3d_m, 'joints_3d_weight': ones, 'pose': truth.pose, 'shape': truth.shape,
          'parameters_weight': tf.ones([count])}


def _completed(batch: dict) -> dict:
  """Adds the entries of the batch contract that cached evidence does not have: no picture, no mask, no camera."""
  count = tf.shape(batch['landmark_evidence'])[0]
  zeros = tf.zeros([count])
  return {**batch, 'image': tf.zeros([count, 1, 1, 3]), 'mask': tf.zeros([count, 1, 1]), 'mask_weight': zeros,
          'crop_center_px': tf.zeros([count, 2]), 'crop_side_px': tf.ones([count]),
          'intrinsics': tf.zeros([count, 3, 3]), 'root_depth_m': zeros, 'is_left': tf.zeros([count], tf.bool)}
