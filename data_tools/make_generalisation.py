"""Makes the generalisation bench: rendered hands with objects, split along shape, articulation, view and object.

  python -m data_tools.make_generalisation --output=records/bench --train=4000 --test=500 --image_size=160

Writes the splits train, interp, extrap_shape, extrap_articulation, extrap_view, extrap_object and extrap_all, and two
for experiments: train_recombined, the training poses with their fingers exchanged, and train_all_regions, a control
with hands from everywhere. The test that no held-out value occurs in training runs before anything is rendered, and
`validate` repeats it on the records. The ends of the regions are gin settings (bench.regions), as is how hands are
drawn. Equal seeds give equal records. After the HANDS 2019 challenge (Armagan et al., ECCV 2020).
"""
import os
import zlib
from collections.abc import Iterator

import numpy as np
from absl import flags
from tqdm import tqdm

from data_tools import synthetic_records
from dhpe_tf import command_line
from dhpe_tf.errors import UserError

_FLAGS = flags.FlagValues()
flags.DEFINE_string('output', None, 'folder of the record set', flag_values=_FLAGS)
flags.DEFINE_integer('train', 4000, 'records of each training split', lower_bound=2, flag_values=_FLAGS)
flags.DEFINE_integer('test', 500, 'records of each test split', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_integer('image_size', 160, 'height and width of the pictures, px', lower_bound=16, flag_values=_FLAGS)
flags.DEFINE_integer('seed', 0, 'of everything random', lower_bound=0, flag_values=_FLAGS)
flags.DEFINE_integer('batch', 32, 'hands rendered together', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_integer('workers', 2, 'threads that put pictures together and encode them', lower_bound=1,
                     upper_bound=1024, flag_values=_FLAGS)
command_line.define_shards_flag(_FLAGS, 4)
command_line.define_configuration_flags(_FLAGS)
flags.mark_flag_as_required('output', _FLAGS)
_SKINS = 256


def main(argv: list[str]) -> None:
  """Draws all hands, tests the splits for leaks, renders them and writes the record set to --output.

  Raises:
    UserError: the splits leak, regions that hardly any hand reaches, or a file cannot be written.
  """
  del argv
  from dhpe_tf import configuration
  from dhpe_tf.data import tfrecords
  from dhpe_tf.hand.hand_model import load_hand_model
  from dhpe_tf.synthesis import hand_renderer
  from dhpe_tf.tasks.hand.bench import axes, splits
  from dhpe_tf.tasks.hand.checks import leaks
  from dhpe_tf.tasks.hand.record import HAND_RECORD

  configuration.load(_FLAGS.gin_file, _FLAGS.gin_param)
  regions = axes.regions()
  values = _draw(regions)
  findings = splits.leaks(values, regions)
  if findings:
    raise UserError(f'the splits leak: {"; ".join(findings)}')
  renderer = hand_renderer.HandRenderer(load_hand_model(), _FLAGS.image_size, _FLAGS.batch)
  with tfrecords.whole_record_set(_FLAGS.output) as folder:
    for split, hands in values.items():
      distances = axes.distances(hands, values[splits.TRAIN])
      records = _records(split, hands, distances, renderer)
      tfrecords.write_split(folder, split, tqdm(records, split, len(hands.kind), unit=' hands'), HAND_RECORD,
                            _FLAGS.shards)
    tfrecords.write_json(os.path.join(folder, tfrecords.DATASET_FILE), {
        'tool': 'make_generalisation', 'seed': _FLAGS.seed, 'image_size': _FLAGS.image_size,
        'counts': {split: len(hands.kind) for split, hands in values.items()}, leaks.NAME: regions.as_json(),
        'licence': 'CC0-1.0 (rendered from the built-in hand)'})
  print(f'{_FLAGS.output}: {", ".join(f"{len(hands.kind)} {split}" for split, hands in values.items())}')


def _seed(*numbers: int) -> int:
  """Derives a seed from --seed and further numbers."""
  return int(np.random.SeedSequence([_FLAGS.seed, *numbers]).generate_state(1)[0] >> 1)


def _draw(regions) -> dict:
  """Draws the hands of all splits, `axes.Values` by split."""
  from dhpe_tf.tasks.hand.bench import draws, splits
  drawing = draws.Draws(regions)
  sizes = {splits.TRAIN: _FLAGS.train, **dict.fromkeys(splits.TESTS, _FLAGS.test), splits.CONTROL: _FLAGS.train}
  values = {split: drawing.of_split(split, size, _seed(0, number))
            for number, (split, size) in enumerate(sizes.items())}
  values[splits.RECOMBINED] = draws.recombined(values[splits.TRAIN], _FLAGS.train, _seed(1))
  return values


def _records(split: str, hands, distances: np.ndarray, renderer) -> Iterator[dict]:
  """The records of a split; rendering and encoding overlap.

  Args:
    split: its name.
    hands: its `axes.Values`.
    distances: [N, 4] to the training hands.
    renderer: a `HandRenderer` of --batch hands.
  """
  from dhpe_tf.hand.hand_model import load_hand_model
  from dhpe_tf.rendering import texture
  from dhpe_tf.synthesis import backgrounds as grounds
  from dhpe_tf.synthesis import hand_renderer, objects

  number_of_split, count = zlib.crc32(split.encode()), len(hands.kind)
  skins = texture.sample_skin(load_hand_model(), _SKINS, _seed(2, number_of_split))
  backgrounds = grounds.Backgrounds(_seed(3, number_of_split))

  def render(batch: int):
    # The last batch is filled up from the start; its further pictures are not used.
    part = hands.take(np.arange(batch * _FLAGS.batch, (batch + 1) * _FLAGS.batch) % count)
    seed = _seed(4, number_of_split, batch)
    return renderer.render(hand_renderer.Hands(part.pose, part.shape, part.rotation),
                           objects.build(part.kind, part.half_sizes_m, seed), seed, skins)

  def record(scenes, pictures, i: int, number: int) -> dict:
    seed = (_seed(5, number_of_split), number)
    made = synthetic_records.make(scenes, pictures, i, backgrounds, seed, f'{split}/{number:07d}', 0., occluder=0.)
    return {**made, 'object/kind': hands.kind[number], 'object/half_sizes_m': hands.half_sizes_m[number],
            'bench/training_distance': distances[number]}

  return synthetic_records.overlapped(count, _FLAGS.batch, _FLAGS.workers, render, record)


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
