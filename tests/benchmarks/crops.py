"""Times cutting a crop of 224 px out of pictures, beside Pillow: `python -m tests.benchmarks.crops`.

Pillow turns the same square with its bilinear filter, after its own box filter (`Image.reduce`) by the same whole
factor; both start from a decoded picture. The table has the time on the clock and the largest difference of the two
results in the middle third of the crop, in grey levels of 256; the pictures are smooth, so that a shift shows.
"""
import time

import numpy as np
import tensorflow as tf
from absl import app, flags
from PIL import Image

_CALLS = flags.DEFINE_integer('calls', 15, 'Calls of each, in turn, of which the median counts.', lower_bound=1)
SIZE_PX, TURN = 224, 0.3
# Height and width of the picture, side of the crop, px.
CASES = ((256, 256, 224), (720, 1280, 400), (720, 1280, 1280), (3000, 4000, 1500), (3000, 4000, 4000))


def smooth(height: int, width: int) -> np.ndarray:
  """A picture of slow waves, uint8 [H, W, 3]."""
  y, x = np.mgrid[:height, :width]
  waves = [np.sin(x / 90 + k) + np.cos(y / 110 - k) for k in range(3)]
  return (63 * (np.stack(waves, axis=-1) + 2)).astype(np.uint8)


def by_pillow(picture: Image.Image, side_px: float) -> np.ndarray:
  """The turned square about the middle of a picture, uint8 [S, S, 3]."""
  factor = max(round(side_px / SIZE_PX), 1)
  reduced = picture.reduce(factor) if factor > 1 else picture
  step, cos, sin = side_px / SIZE_PX / factor, np.cos(TURN), np.sin(TURN)
  a, b, d, e = step * cos, step * sin, -step * sin, step * cos
  x, y = picture.width / 2 / factor, picture.height / 2 / factor
  middle = SIZE_PX / 2
  return np.asarray(reduced.transform(
      (SIZE_PX, SIZE_PX), Image.Transform.AFFINE,
      (a, b, x - (a + b) * middle, d, e, y - (d + e) * middle), Image.Resampling.BILINEAR))


def main(argv: list[str]) -> None:
  """Prints the table."""
  del argv
  from dhpe_tf.geometry import crops

  @tf.function(input_signature=[tf.TensorSpec([None, None, 3], tf.uint8), tf.TensorSpec([2]), tf.TensorSpec([])])
  def ours(picture, center_px, side_px):
    return crops.extract(picture, crops.Crop(center_px, side_px), SIZE_PX, TURN, fill=0.)

  print('| picture | crop, px | ours, ms | Pillow, ms | ours / Pillow | difference |\n' + '| --- ' * 6 + '|')
  for height, width, side_px in CASES:
    picture = smooth(height, width)
    given = tf.constant(picture), tf.constant([width / 2, height / 2]), tf.constant(float(side_px))
    image = Image.fromarray(picture)
    functions = (lambda given=given: ours(*given).numpy(),
                 lambda image=image, side_px=side_px: by_pillow(image, side_px))
    found = [function() for function in functions]
    times = [[_milliseconds(function) for function in functions] for _ in range(_CALLS.value)]
    ours_ms, pillow_ms = np.median(times, axis=0)
    inner = slice(SIZE_PX // 3, -SIZE_PX // 3)
    apart = np.abs(255 * found[0][inner, inner] - found[1][inner, inner]).max()
    print(f'| {width} x {height} | {side_px} | {ours_ms:.1f} | {pillow_ms:.1f} | {ours_ms / pillow_ms:.2f} '
          f'| {apart:.1f} |')


def _milliseconds(function) -> float:
  """The time of a call."""
  start_s = time.perf_counter()
  function()
  return 1000 * (time.perf_counter() - start_s)


if __name__ == '__main__':
  app.run(main)
