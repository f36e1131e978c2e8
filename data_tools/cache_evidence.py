"""Caches what the landmark network sees in the pictures of a record set, so that an estimator can learn from it fast.

  python -m data_tools.cache_evidence --records=records/synthetic --output=evidence/synthetic

Writes <output>/<split>.npz for each split: for each hand the evidence and its labels in the same crop. The crops are
those of predict: turned so that the hand points up. The split train is seen --views times, each time in another crop
and other colours.
"""
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from absl import flags
from tqdm import tqdm

from dhpe_tf import command_line
from dhpe_tf.errors import UserError

_FLAGS = flags.FlagValues()
flags.DEFINE_string('records', None, 'folder of the record set', flag_values=_FLAGS)
flags.DEFINE_string('output', None, 'folder for the evidence', flag_values=_FLAGS)
flags.DEFINE_list('splits', ['train', 'eval'], 'splits to look at', flag_values=_FLAGS)
flags.DEFINE_integer('views', 1, 'crops of each hand of the split train', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_integer('batch', 16, 'pictures looked at together', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_float('least_presence', 0.2, 'hands of a lower presence are left out: the network does not see them',
                   flag_values=_FLAGS)
command_line.define_configuration_flags(_FLAGS)
flags.mark_flags_as_required(['records', 'output'], _FLAGS)


def main(argv: list[str]) -> None:
  """Looks at all splits of --records and writes their evidence to --output.

  Raises:
    UserError: no record set, or a file cannot be written.
  """
  del argv
  import tensorflow as tf

  from dhpe_tf import configuration, files
  from dhpe_tf.methods.dhpe.landmarks import batches
  from dhpe_tf.networks import landmark_net

  configuration.load(['upright_crops.gin', *_FLAGS.gin_file], _FLAGS.gin_param)
  network = landmark_net.landmark_net()
  look = tf.function(lambda images: _look(network, images), autograph=False)
  for split in _FLAGS.splits:
    path = batches.path_of(_FLAGS.output, split)
    files.check_output(path)
    views = _FLAGS.views if split == 'train' else 1
    seen = list(tqdm(_seen(look, split, views), split, views * _batches(split), unit=' batches'))
    hands = {name: np.concatenate([part[name] for part in seen]) for name in batches.CACHED}
    if not len(hands['landmark_evidence']):
      raise UserError(f'{_FLAGS.records}, split {split}: no hand is seen in any of its pictures')
    with files.atomic_path(path) as temporary, open(temporary, 'wb') as file:
      np.savez_compressed(file, **hands)
    print(f'{path}: {len(hands["landmark_evidence"])} views of hands')


def _look(network: Any, images: Any) -> tuple[Any, Any]:
  """Packed evidence [B, 21, 7] and presence [B], tensors, of images [B, 224, 224, 3]."""
  from dhpe_tf.methods.dhpe.landmarks import evidence
  found, presence = evidence.of_images(network, images, mirrored=True)
  return found.pack(), presence


def _seen(look: Callable, split: str, views: int) -> Iterator[dict[str, np.ndarray]]:
  """Yields evidence and labels of the views of a split, by batch and by the names of `batches.CACHED`.

  The first view is the picture as it is; the others are changed at random, as in a training with pictures.
  """
  from dhpe_tf.methods.dhpe.landmarks import batches

  for view in range(views):
    for batch in _pictures(split, view):
      packed, presence = look(batch['image'])
      seen = presence.numpy() > _FLAGS.least_presence
      yield {name: value.numpy()[seen] for name, value in {**batch, 'landmark_evidence': packed}.items()
             if name in batches.CACHED}


def _pictures(split: str, view: int) -> Any:
  """The batches of a view of a split, a tf.data.Dataset."""
  from dhpe_tf.data import input_pipeline
  from dhpe_tf.networks import landmark_net
  from dhpe_tf.tasks.hand.task import HandTask

  dataset = input_pipeline.build_dataset(
      HandTask(), [(_FLAGS.records, split, 1.)], _FLAGS.batch, landmark_net.SIZE_PX, training=view > 0, seed=view)
  return dataset.take(_batches(split))


def _batches(split: str) -> int:
  """Number of batches of a view; the last one may be smaller."""
  from dhpe_tf.data import tfrecords
  return -(-tfrecords.count(_FLAGS.records, split) // _FLAGS.batch)


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
