"""Makes a record set of rendered hands with all labels: 2D and 3D joints, visibility, mask, camera, pose, shape.

  python -m data_tools.make_synthetic --output=records/synthetic --train=20000 --eval=1000

The same seed gives the same records. Backgrounds are generated; --backgrounds=FOLDER takes photographs instead.
"""
import os
from collections.abc import Iterator

import numpy as np
from absl import flags
from tqdm import tqdm

from data_tools import synthetic_records
from dhpe_tf import command_line
from dhpe_tf.errors import UserError

_FLAGS = flags.FlagValues()
flags.DEFINE_string('output', None, 'folder of the record set', flag_values=_FLAGS)
flags.DEFINE_integer('train', 20000, 'records of the split train', lower_bound=0, flag_values=_FLAGS)
flags.DEFINE_integer('eval', 1000, 'records of the split eval', lower_bound=0, flag_values=_FLAGS)
flags.DEFINE_integer('image_size', 224, 'height and width of the pictures, px', lower_bound=16, flag_values=_FLAGS)
flags.DEFINE_integer('seed', 0, 'of everything random', lower_bound=0, flag_values=_FLAGS)
flags.DEFINE_string('backgrounds', '', 'folder of photographs; made-up backgrounds without one', flag_values=_FLAGS)
flags.DEFINE_integer('batch', 32, 'hands rendered together', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_integer('workers', 2, 'threads that put pictures together and encode them', lower_bound=1,
                     upper_bound=1024, flag_values=_FLAGS)
command_line.define_shards_flag(_FLAGS, 4)
flags.DEFINE_multi_string('gin_param', [], 'settings such as synthesis.HandRenderer.fill = (0.5, 0.6)',
                          flag_values=_FLAGS)
flags.mark_flag_as_required('output', _FLAGS)
_SPLITS = ('train', 'eval')
_SKINS = 256
_LEFT_SHARE = 0.5


def main(argv: list[str]) -> None:
  """Renders the splits train and eval and writes the record set to --output.

  Raises:
    UserError: --train and --eval are both 0, or a file cannot be written.
  """
  del argv
  from dhpe_tf import configuration
  from dhpe_tf.data import tfrecords
  from dhpe_tf.hand.hand_model import load_hand_model
  from dhpe_tf.synthesis import hand_renderer as synthesis
  from dhpe_tf.tasks.hand.record import HAND_RECORD

  configuration.load([], _FLAGS.gin_param)
  if not _FLAGS.train + _FLAGS.eval:
    raise UserError('--train and --eval are both 0: nothing to make')
  hand_model = load_hand_model()
  renderer = synthesis.HandRenderer(hand_model, _FLAGS.image_size, _FLAGS.batch)
  for split in _SPLITS:
    count = _FLAGS[split].value
    if count:
      records = tqdm(_records(split, count, hand_model, renderer), split, count, unit=' hands')
      tfrecords.write_split(_FLAGS.output, split, records, HAND_RECORD, _FLAGS.shards)
  tfrecords.write_json(os.path.join(_FLAGS.output, tfrecords.DATASET_FILE), {
      'tool': 'make_synthetic', 'seed': _FLAGS.seed, 'image_size': _FLAGS.image_size,
      'backgrounds': 'photographs' if _FLAGS.backgrounds else 'made up',
      'counts': {'train': _FLAGS.train, 'eval': _FLAGS.eval}, 'licence': 'CC0-1.0 (rendered from the built-in hand)'})
  print(f'{_FLAGS.output}: {_FLAGS.train} train, {_FLAGS.eval} eval')


def _seed(split: str, *numbers: int) -> int:
  """Derives a seed from --seed, the split and further numbers, so that splits share no poses, skins or backgrounds."""
  return int(np.random.SeedSequence([_FLAGS.seed, _SPLITS.index(split), *numbers]).generate_state(1)[0] >> 1)


def _records(split: str, count: int, hand_model, renderer) -> Iterator[dict]:
  """The records of a split; rendering and encoding overlap.

  Args:
    split: 'train' or 'eval'.
    count: number of records.
    hand_model: the hand.
    renderer: a `HandRenderer` of --batch hands.
  """
  from dhpe_tf.rendering import texture
  from dhpe_tf.synthesis.backgrounds import Backgrounds

  skins = texture.sample_skin(hand_model, _SKINS, _seed(split, 1))
  backgrounds = Backgrounds(_seed(split, 2), _FLAGS.backgrounds)

  def record(scenes, pictures, i: int, number: int) -> dict:
    seed = (_seed(split, 3, number // _FLAGS.batch), i)
    return synthetic_records.make(scenes, pictures, i, backgrounds, seed, f'{split}-{number:07d}', _LEFT_SHARE)

  return synthetic_records.overlapped(count, _FLAGS.batch, _FLAGS.workers,
                                      lambda number: renderer.sample(_seed(split, 3, number), skins), record)


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
