"""Small record sets with labels that are true by construction."""
import io

import numpy as np
from PIL import Image

from dhpe_tf.data import tfrecords
from dhpe_tf.tasks.hand.record import HAND_RECORD

SIZE = (90, 120)  # height, width


def png(picture: np.ndarray) -> bytes:
  buffer = io.BytesIO()
  Image.fromarray(picture).save(buffer, 'PNG')
  return buffer.getvalue()


def record(number: int = 0, side: str = 'right', camera: bool = True, mask: bool = True) -> dict:
  """A hand of 21 random joints; the picture is black with a white dot of 3x3 px at the tip of the index finger."""
  random = np.random.default_rng(number)
  intrinsics = np.array([[150.0, 0, 55], [0, 150, 42], [0, 0, 1]])
  joints_m = np.concatenate([random.uniform(-0.07, 0.07, (21, 2)), random.uniform(0.45, 0.5, (21, 1))], axis=1)
  pixels = joints_m @ intrinsics.T
  joints_px = pixels[:, :2] / pixels[:, 2:]
  joints_px[8] = np.floor(joints_px[8]) + 0.5
  picture = np.zeros((*SIZE, 3), np.uint8)
  x, y = joints_px[8].astype(int)
  picture[y - 1:y + 2, x - 1:x + 2] = 255
  result = {
      'image/encoded': png(picture), 'image/height': SIZE[0], 'image/width': SIZE[1], 'image/id': f'{number:04d}.png',
      'hand/side': side, 'hand/joints_2d_px': joints_px, 'hand/joints_2d_valid': np.ones(21),
      'hand/joints_3d_m': joints_m if camera else joints_m - joints_m[9], 'hand/joints_3d_valid': np.ones(21),
      'hand/pose': random.normal(0, 1, 45), 'hand/shape': random.normal(0, 1, 10), 'hand/has_parameters': 1.0,
      'hand/visibility': random.integers(0, 2, 21), 'source': 'made for tests', 'group': f'g{number % 3}',
      'hand/box_px': np.array([3.0, 4, 50, 40]), 'hand/rotation': np.array([0.5, -0.5, 0.5, 0.5]),
      'object/kind': 'box', 'object/half_sizes_m': np.array([0.01, 0.02, 0.03]),
      'bench/training_distance': np.array([1.0, 2, 3, 4]),
  }
  if camera:
    result['camera/intrinsics'] = intrinsics
  if mask:
    result['mask/encoded'] = png(picture[..., 0])
  return result


def mirrored(original: dict) -> dict:
  """The same scene in a mirror: what is a right hand becomes a left one."""
  def flip(data: bytes) -> bytes:
    return png(np.asarray(Image.open(io.BytesIO(data)))[:, ::-1])
  result = dict(original)
  width = original['image/width']
  result['image/encoded'] = flip(original['image/encoded'])
  result['mask/encoded'] = flip(original['mask/encoded'])
  result['hand/side'] = 'left' if original['hand/side'] == 'right' else 'right'
  result['hand/joints_2d_px'] = original['hand/joints_2d_px'] * [-1, 1] + [width, 0]
  result['hand/joints_3d_m'] = original['hand/joints_3d_m'] * [-1, 1, 1]
  result['camera/intrinsics'] = original['camera/intrinsics'].copy()
  result['camera/intrinsics'][0, 2] = width - original['camera/intrinsics'][0, 2]
  return result


def write(root, count: int = 12, split: str = 'train', **options) -> str:
  """Writes a record set of `count` records and returns its folder."""
  tfrecords.write_split(str(root), split, (record(i, **options) for i in range(count)), HAND_RECORD, shards=2)
  return str(root)
