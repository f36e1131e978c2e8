"""Makes a record set of rendered hands with all labels: 2D and 3D joints, visibility, mask, camera, pose, shape.

  python -m data_tools.make_synthetic --output=records/synthetic --train=20000 --eval=1000

The same seed gives the same records. Backgrounds are generated; --backgrounds=FOLDER takes photographs instead.
"""
import concurrent.futures
import os
from collections.abc import Iterator

import numpy as np
from absl import flags
from tqdm import tqdm

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
                     flag_values=_FLAGS)
flags.DEFINE_integer('shards', 4, 'files a split', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_multi_string('gin_param', [], 'settings such as synthesis.HandRenderer.fill = (0.5, 0.6)',
                          flag_values=_FLAGS)
flags.mark_flag_as_required('output', _FLAGS)
_SPLITS = ('train', 'eval')
_SKINS = 256


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
  """Yields the records of a split; rendering and encoding overlap.

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
  with concurrent.futures.ThreadPoolExecutor(_FLAGS.workers) as pool:
    waiting = []
    for start in range(0, count, _FLAGS.batch):
      number = _seed(split, 3, start // _FLAGS.batch)
      scenes, pictures = renderer.sample(number, skins)
      scenes = type(scenes)(*(part.numpy() for part in scenes))
      waiting.append([
          pool.submit(_record, scenes, pictures, i, backgrounds, (number, i), f'{split}-{start + i:07d}')
          for i in range(min(_FLAGS.batch, count - start))])
      # Threads encode one batch while the next is rendered.
      if len(waiting) > 1:
        yield from (future.result() for future in waiting.pop(0))
    for batch in waiting:
      yield from (future.result() for future in batch)


def _record(scenes, pictures, i: int, backgrounds, seed: tuple, name: str) -> dict:
  """Makes one record of a batch; half of the hands, chosen at random, become left hands by mirroring.

  Args:
    scenes: `Scenes` as NumPy arrays.
    pictures: `Pictures` of the same batch.
    i: number of the hand in the batch.
    backgrounds: `Backgrounds` to draw from.
    seed: of background, composition and side.
    name: of the record.
  """
  from dhpe_tf.data import image_files
  from dhpe_tf.synthesis import compositing
  random = np.random.default_rng(seed)
  picture, mask, seen = compositing.compose(pictures.rgb[i], pictures.alpha[i], pictures.joints_px[i],
                                            pictures.seen[i], backgrounds, random)
  joints_px, joints_3d_m, intrinsics = pictures.joints_px[i], scenes.keypoints_m[i], scenes.intrinsics[i].copy()
  left = random.uniform() < 0.5
  side_px = picture.shape[0]
  if left:
    picture, mask = picture[:, ::-1], mask[:, ::-1]
    joints_px = np.concatenate([side_px - joints_px[:, :1], joints_px[:, 1:]], axis=1)
    joints_3d_m = joints_3d_m * [-1, 1, 1]
    intrinsics[0, 2] = side_px - intrinsics[0, 2]
  return {
      'image/encoded': image_files.encode(picture, 'JPEG', quality=int(random.integers(70, 96))),
      'image/height': side_px, 'image/width': side_px, 'image/id': name, 'hand/side': 'left' if left else 'right',
      'hand/joints_2d_px': joints_px, 'hand/joints_2d_valid': np.ones(21), 'hand/visibility': seen.astype(float),
      'hand/joints_3d_m': joints_3d_m, 'hand/joints_3d_valid': np.ones(21),
      'hand/pose': scenes.pose[i], 'hand/shape': scenes.shape[i], 'hand/has_parameters': 1.,
      'mask/encoded': image_files.encode(mask, 'PNG', compress_level=1), 'camera/intrinsics': intrinsics,
      'source': 'synthetic', 'group': name,
  }


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
