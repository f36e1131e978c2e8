"""A record set of a few made-up pictures with consistent labels, for tests of whole commands."""
import io

import numpy as np
from PIL import Image

from dhpe_tf.data import tfrecords


def write(root: str, counts=(('train', 6), ('eval', 3)), size=(80, 100)) -> None:
  """Writes splits of `counts` pictures of `size` (height, width), one shard each."""
  for split, count in counts:
    tfrecords.write_split(root, split, [make_record(number, size) for number in range(count)], shards=1)


def make_record(number: int, size: tuple[int, int]) -> dict:
  """One record; every second hand is a left one."""
  height, width = size
  random = np.random.RandomState(number)
  focal, depth = 120., 0.5
  joints_3d = random.uniform(-0.08, 0.08, [21, 3]) + [0., 0., depth]
  intrinsics = np.array([[focal, 0., width / 2], [0., focal, height / 2], [0., 0., 1.]])
  image = joints_3d @ intrinsics.T
  mask = np.zeros([height, width], np.uint8)
  mask[height // 4:-height // 4, width // 4:-width // 4] = 255
  return {
      'image/encoded': encode(random.randint(0, 256, [height, width, 3], np.uint8), 'JPEG'),
      'image/height': height, 'image/width': width, 'image/id': f'picture-{number}',
      'hand/side': ('right', 'left')[number % 2], 'hand/joints_2d_px': image[:, :2] / image[:, 2:],
      'hand/joints_2d_valid': np.ones(21), 'hand/visibility': np.ones(21), 'hand/joints_3d_m': joints_3d,
      'hand/joints_3d_valid': np.ones(21), 'hand/pose': random.uniform(-0.2, 0.2, 45),
      'hand/shape': random.normal(size=10), 'hand/has_parameters': 1., 'mask/encoded': encode(mask, 'PNG'),
      'camera/intrinsics': intrinsics, 'source': 'made up', 'group': f'{number}'}


def encode(picture: np.ndarray, kind: str) -> bytes:
  """A picture as the bytes of a file."""
  buffer = io.BytesIO()
  Image.fromarray(picture).save(buffer, kind)
  return buffer.getvalue()
