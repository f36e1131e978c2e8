"""Batches with further hands of which something is hidden: skeletons without pictures, to learn from as well."""
from collections.abc import Sequence
from typing import Any

import gin
import tensorflow as tf

from dhpe_tf import errors
from dhpe_tf.data import input_pipeline
from dhpe_tf.methods.cross_modal_vae.modalities import IMAGE, JOINTS_2D, JOINTS_3D
from dhpe_tf.tasks.task import Tensors

# The entries of a batch that are zero where a modality is absent.
_ENTRIES = {IMAGE: ('image',), JOINTS_2D: ('visibility', 'joints_2d_weight'),
            JOINTS_3D: ('joints_3d_weight', 'joints_z_weight')}


def hide(batch: Tensors, hidden: Sequence[str]) -> dict:
  """A batch without some modalities: pictures are black, joints have weight 0.

  Args:
    batch: of the hand task.
    hidden: 'image', 'joints_2d', 'joints_3d'.

  Raises:
    UserError: another name.
  """
  for name in hidden:
    if name not in _ENTRIES:
      raise errors.UserError(f'with_skeletons.hidden: {name!r} is no modality; choose from {", ".join(_ENTRIES)}')
  entries = {entry for name in hidden for entry in _ENTRIES[name]}
  return {name: tf.zeros_like(value) if name in entries else value for name, value in batch.items()}


@gin.configurable(module='cross_modal_vae', denylist=['task', 'training', 'seed', 'epoch', 'skip_batches'])
def with_skeletons(task: Any, skeletons: Sequence[input_pipeline.Source] = (), skeletons_per_batch: int = 32,
                   hidden: Sequence[str] = (IMAGE,), training: bool = True, seed: int = 0, epoch: int = 0,
                   skip_batches: int = 0, **given: Any) -> tf.data.Dataset:
  """Adds hands without pictures to the training batches; for `Experiment.dataset`.

  Args:
    task: the hand task.
    skeletons: their record sets as (root, split, weight).
    skeletons_per_batch: how many of them a batch has besides those of `build_dataset`.
    hidden: what is not to be seen of them.
    training: whether it is a training; otherwise nothing is added.
    seed: of order and augmentation.
    epoch: each has its own order.
    skip_batches: number of batches to leave out at the start.
    **given: further arguments of `build_dataset`.

  Raises:
    UserError: no skeletons, or as of `build_dataset`.
  """
  labelled = input_pipeline.build_dataset(task, training=training, seed=seed, epoch=epoch, skip_batches=skip_batches,
                                          **given)
  if not training:
    return labelled
  if not skeletons:
    raise errors.UserError('with_skeletons.skeletons is empty; name at least one (root, split, weight)')
  # Another seed: both may read the same records.
  more = input_pipeline.build_dataset(task, sources=skeletons, batch_size=skeletons_per_batch, training=True,
                                      seed=seed + 1, epoch=epoch, skip_batches=skip_batches)

  @tf.autograph.experimental.do_not_convert
  def joined(first: Tensors, second: Tensors) -> dict:
    second = hide(second, hidden)
    return {name: tf.concat([value, second[name]], axis=0) for name, value in first.items()}
  return input_pipeline.by_batch(tf.data.Dataset.zip((labelled, more)).map(joined, tf.data.AUTOTUNE).prefetch(2))
