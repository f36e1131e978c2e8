"""Makes a record set of rendered hands with all labels: 2D and 3D joints, visibility, mask, camera, pose, shape.

  python -m data_tools.make_synthetic --output=records/synthetic --train=20000 --eval=1000

The same seed gives the same records. Backgrounds are made up; --backgrounds=FOLDER takes photographs instead.
"""
import concurrent.futures
import io
import os
from collections.abc import Iterator

import numpy as np
from absl import flags
from PIL import Image
from tqdm import tqdm

from dhpe_tf import command_line

FLAGS = flags.FLAGS
_SPLIT_OFFSETS = {'train': 0, 'eval': 1_000_000_000}


def define_flags() -> None:
  """Defines this program's flags."""
  flags.DEFINE_string('output', None, 'folder of the record set', required=True)
  flags.DEFINE_integer('train', 20000, 'records of the split train', lower_bound=0)
  flags.DEFINE_integer('eval', 1000, 'records of the split eval', lower_bound=0)
  flags.DEFINE_integer('image_size', 224, 'height and width of the pictures, px', lower_bound=16)
  flags.DEFINE_integer('seed', 0, 'of everything random', lower_bound=0)
  flags.DEFINE_string('backgrounds', '', 'folder of photographs; made-up backgrounds without one')
  flags.DEFINE_integer('batch', 32, 'hands rendered together', lower_bound=1)
  flags.DEFINE_integer('workers', 2, 'threads that put pictures together and encode them', lower_bound=1)
  flags.DEFINE_integer('shards', 4, 'files a split', lower_bound=1)
  flags.DEFINE_multi_string('gin_param', [], 'settings such as synthesis.HandRenderer.fill = (0.5, 0.6)')


def main(_) -> None:
  """Makes the record set."""
  from dhpe_tf import configuration
  from dhpe_tf.data import tfrecords
  from dhpe_tf.errors import UserError
  configuration.load([], FLAGS.gin_param)
  if not FLAGS.train + FLAGS.eval:
    raise UserError('--train and --eval are both 0: nothing to make')
  for split in ('train', 'eval'):
    count = FLAGS[split].value
    if count:
      records = tqdm(_records(split, count), split, count, unit=' hands')
      tfrecords.write_split(FLAGS.output, split, records, FLAGS.shards)
  tfrecords.write_json(os.path.join(FLAGS.output, tfrecords.DATASET_FILE), {
      'tool': 'make_synthetic', 'seed': FLAGS.seed, 'image_size': FLAGS.image_size,
      'backgrounds': 'photographs' if FLAGS.backgrounds else 'made up',
      'counts': {'train': FLAGS.train, 'eval': FLAGS.eval}, 'licence': 'CC0-1.0 (rendered from the built-in hand)'})
  print(f'{FLAGS.output}: {FLAGS.train} train, {FLAGS.eval} eval')


def _records(split: str, count: int) -> Iterator[dict]:
  """Yields the records of a split; rendering and encoding overlap."""
  from dhpe_tf.data.backgrounds import Backgrounds
  from dhpe_tf.data.synthesis import HandRenderer
  from dhpe_tf.hand.hand_model import load_hand_model
  # Different splits have different skins and grounds.
  offset = _SPLIT_OFFSETS[split]
  renderer = HandRenderer(load_hand_model(), FLAGS.image_size, FLAGS.batch, skin_seed=FLAGS.seed + offset)
  backgrounds = Backgrounds(FLAGS.seed + offset, FLAGS.backgrounds)
  with concurrent.futures.ThreadPoolExecutor(FLAGS.workers) as pool:
    waiting = []
    for start in range(0, count, FLAGS.batch):
      number = FLAGS.seed * 50_000 + start // FLAGS.batch + offset
      scenes, pictures = renderer.sample(number)
      scenes = type(scenes)(*(part.numpy() for part in scenes))
      waiting.append([
          pool.submit(_record, scenes, pictures, i, backgrounds, (number, i), f'{split}-{start + i:07d}')
          for i in range(min(FLAGS.batch, count - start))])
      # One batch is being encoded while the next is rendered.
      if len(waiting) > 1:
        yield from (future.result() for future in waiting.pop(0))
    for batch in waiting:
      yield from (future.result() for future in batch)


def _record(scenes, pictures, i: int, backgrounds, seed: tuple, name: str) -> dict:
  """One record of a batch; every other hand is made a left one by mirroring."""
  from dhpe_tf.data import synthesis
  random = np.random.default_rng(seed)
  picture, mask, seen = synthesis.compose(pictures, i, backgrounds, random)
  joints_px, joints_3d_m, intrinsics = pictures.joints_px[i], scenes.keypoints_m[i], scenes.intrinsics[i].copy()
  left = random.uniform() < 0.5
  side_px = picture.shape[0]
  if left:
    picture, mask = picture[:, ::-1], mask[:, ::-1]
    joints_px = np.concatenate([side_px - joints_px[:, :1], joints_px[:, 1:]], axis=1)
    joints_3d_m = joints_3d_m * [-1, 1, 1]
    intrinsics[0, 2] = side_px - intrinsics[0, 2]
  return {
      'image/encoded': _encode(picture, 'JPEG', quality=int(random.integers(70, 96))),
      'image/height': side_px, 'image/width': side_px, 'image/id': name, 'hand/side': 'left' if left else 'right',
      'hand/joints_2d_px': joints_px, 'hand/joints_2d_valid': np.ones(21), 'hand/visibility': seen.astype(float),
      'hand/joints_3d_m': joints_3d_m, 'hand/joints_3d_valid': np.ones(21),
      'hand/pose': scenes.pose[i], 'hand/shape': scenes.shape[i], 'hand/has_parameters': 1.,
      'mask/encoded': _encode(mask, 'PNG', compress_level=1), 'camera/intrinsics': intrinsics,
      'source': 'synthetic', 'group': name,
  }


def _encode(picture: np.ndarray, kind: str, **options) -> bytes:
  """A picture as the bytes of a file."""
  buffer = io.BytesIO()
  Image.fromarray(np.ascontiguousarray(picture)).save(buffer, kind, **options)
  return buffer.getvalue()


if __name__ == '__main__':
  define_flags()
  command_line.run(main)
