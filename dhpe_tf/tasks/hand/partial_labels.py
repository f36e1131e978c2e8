"""Batches in which some hands lack labels: pictures with 2D joints only, or skeletons without pictures.

What is hidden is zero in the batch, values and weights alike, so no loss and no network can see it.
"""
from collections.abc import Sequence
from typing import Any, Optional

import gin
import tensorflow as tf

from dhpe_tf import errors
from dhpe_tf.data import input_pipeline
from dhpe_tf.tasks.task import Tensors

IMAGE, JOINTS_2D, JOINTS_3D = 'image', 'joints_2d', 'joints_3d'
# The entries of a batch that are zero where something is hidden. Pose and shape tell the 3D joints, so they go too.
_ENTRIES = {IMAGE: ('image',), JOINTS_2D: ('visibility', 'joints_2d', 'joints_2d_weight'),
            JOINTS_3D: ('joints_3d_m', 'joints_3d_weight', 'joints_z_weight', 'pose', 'shape', 'parameters_weight',
                        'root_depth_m', 'training_distance')}
# Which of x, y and z of the entry joints_3d, in the crop, are zero then.
_AXES = {IMAGE: (0., 0., 0.), JOINTS_2D: (1., 1., 0.), JOINTS_3D: (0., 0., 1.)}
_BUCKETS = 1 << 20


def hide(batch: Tensors, hidden: Sequence[str], rows: Optional[tf.Tensor] = None) -> dict:
  """A batch without some of its labels: pictures are black, joints are zero with weight 0.

  Args:
    batch: of the hand task.
    hidden: 'image', 'joints_2d', 'joints_3d'; the last takes pose, shape and the root's depth with it.
    rows: `[B]` bool, the hands concerned; None for all.

  Raises:
    UserError: another name.
  """
  for name in hidden:
    if name not in _ENTRIES:
      raise errors.UserError(f'with_partial_labels.hidden: {name!r} is none of {", ".join(_ENTRIES)}')
  entries = {entry for name in hidden for entry in _ENTRIES[name]}
  changed = {name: tf.zeros_like(value) if name in entries else value for name, value in batch.items()}
  if 'joints_3d' in batch:
    gone = tf.reduce_max(tf.constant([_AXES[name] for name in (*hidden, IMAGE)]), axis=0)
    changed['joints_3d'] = tf.where(gone > 0, 0., batch['joints_3d'])
  if rows is None:
    return changed
  return {name: _chosen(rows, value, batch[name]) for name, value in changed.items()}


def _chosen(rows: tf.Tensor, changed: tf.Tensor, given: tf.Tensor) -> tf.Tensor:
  """`changed` in the rows [B], else `given`."""
  if changed is given:
    return given
  return tf.where(tf.reshape(rows, tf.concat([tf.shape(rows), tf.ones([tf.rank(given) - 1], tf.int32)], 0)), changed,
                  given)


def in_share(ids: tf.Tensor, share: float) -> tf.Tensor:
  """Which records are in a share of all, by their names alone, so always the same ones.

  Args:
    ids: `[B]` string.
    share: 0 to 1; a larger share has the records of a smaller one, and more.

  Returns:
    `[B]` bool.
  """
  return tf.strings.to_hash_bucket_strong(ids, _BUCKETS, [1, 2]) < round(share * _BUCKETS)


@gin.configurable(module='hand', denylist=['task', 'training', 'seed', 'epoch', 'skip_batches'])
def with_partial_labels(task: Any, partial: Sequence[input_pipeline.Source] = (), partial_per_batch: int = 32,
                        hidden: Sequence[str] = (IMAGE,), hidden_share: float = 0., training: bool = True,
                        seed: int = 0, epoch: int = 0, skip_batches: int = 0, **given: Any) -> tf.data.Dataset:
  """Training batches in which some hands lack labels; for `Experiment.dataset`.

  These are all hands of further record sets, or a share of the records of `build_dataset`, or both.

  Args:
    task: the hand task.
    partial: further record sets, all of whose hands lack labels, as (root, split, weight).
    partial_per_batch: how many of them a batch has besides those of `build_dataset`.
    hidden: what is not to be seen of them: 'image', 'joints_2d', 'joints_3d', see `hide`.
    hidden_share: share of the records of `build_dataset` of which the same is hidden, always the same records.
    training: whether it is a training; otherwise nothing is added and nothing hidden.
    seed: of order and augmentation.
    epoch: each has its own order.
    skip_batches: number of batches to leave out at the start.
    **given: further arguments of `build_dataset`.

  Raises:
    UserError: neither further records nor a share, or as of `build_dataset`.
  """
  labelled = input_pipeline.build_dataset(task, training=training, seed=seed, epoch=epoch, skip_batches=skip_batches,
                                          **given)
  if not training:
    return labelled
  if not partial and not 0 < hidden_share <= 1:
    raise errors.UserError('with_partial_labels.partial is empty and with_partial_labels.hidden_share is not above 0 '
                           'and at most 1; name at least one (root, split, weight), or a share')
  if hidden_share:
    labelled = labelled.map(_hiding_share(hidden, hidden_share), tf.data.AUTOTUNE)
  if not partial:
    return input_pipeline.by_batch(labelled.prefetch(2))
  # Another seed: both may read the same records.
  more = input_pipeline.build_dataset(task, sources=partial, batch_size=partial_per_batch, training=True,
                                      seed=seed + 1, epoch=epoch, skip_batches=skip_batches)

  @tf.autograph.experimental.do_not_convert
  def joined(first: Tensors, second: Tensors) -> dict:
    second = hide(second, hidden)
    return {name: tf.concat([value, second[name]], axis=0) for name, value in first.items()}
  return input_pipeline.by_batch(tf.data.Dataset.zip((labelled, more)).map(joined, tf.data.AUTOTUNE).prefetch(2))


def _hiding_share(hidden: Sequence[str], share: float):
  """A function that hides labels of a share of the records of a batch."""
  @tf.autograph.experimental.do_not_convert
  def hiding(batch: Tensors) -> dict:
    return hide(batch, hidden, in_share(batch['id'], share))
  return hiding
