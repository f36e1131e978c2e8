"""The squares of a picture that the palm network is shown.

The network finds palms of a certain range of sizes. So a picture with small hands is shown in overlapping tiles, and
one that a hand fills is shown with a margin.
"""
import gin
import tensorflow as tf

from dhpe_tf.geometry import crops


@gin.configurable(module='finding', denylist=['height_width'])
def usual_views(height_width: tf.Tensor, scales: tuple = (1.,), grids: tuple = (2,),
                least_tile_px: float = 384.) -> crops.Crop:
  """The squares that are searched first.

  Args:
    height_width: [2] size of the picture, px, float32.
    scales: squares about the whole picture, in units of its longer side.
    grids: overlapping tiles, so many along the longer side; see `tiles`.
    least_tile_px: grids of smaller tiles are left out.

  Returns:
    Crops [V].
  """
  return _views(height_width, scales, grids, least_tile_px)


@gin.configurable(module='finding', denylist=['height_width'])
def further_views(height_width: tf.Tensor, scales: tuple = (1.75, 2.5), grids: tuple = (3, 5),
                  least_tile_px: float = 240.) -> crops.Crop:
  """The squares that are searched if the usual ones show no hand; arguments as of `usual_views`.

  Scales above 1 are for hands that fill the picture, tiles for small ones.
  """
  return _views(height_width, scales, grids, least_tile_px)


def around(crop: crops.Crop, scales: tuple[float, ...]) -> crops.Crop:
  """Squares [len(scales)] about the centre of one crop, in units of its side."""
  count = len(scales)
  return crops.Crop(tf.tile(crop.center_px[None], [count, 1]), crop.side_px * tf.constant(scales, tf.float32, [count]))


@gin.configurable(module='finding', denylist=['height_width', 'count', 'least_px'])
def tiles(height_width: tf.Tensor, count: int, least_px: float, overlap: float = 0.25) -> crops.Crop:
  """Overlapping square tiles that cover the picture.

  With n tiles that overlap by the share o along the longer side g, a tile's side is s = g / (n - (n - 1) o). The other
  side takes as many as it needs for at least the same overlap.

  Args:
    height_width: [2] size of the picture, px, float32.
    count: tiles n along the longer side.
    least_px: smaller tiles are not worth a look: then there are none.
    overlap: share o of a tile that its neighbour shows too.

  Returns:
    Crops [T], row by row.
  """
  side_px = tf.reduce_max(height_width) / (count - (count - 1) * overlap)
  # 1e-3 for rounding: the longer side takes exactly `count`.
  counts = tf.math.ceil((height_width - overlap * side_px) / ((1. - overlap) * side_px) - 1e-3)
  y_px, x_px = (_line(height_width[axis], tf.cast(counts[axis], tf.int32), side_px) for axis in (0, 1))
  grid = tf.reshape(tf.stack(tf.meshgrid(x_px, y_px), axis=-1), [-1, 2])
  center_px = grid[:tf.where(side_px >= least_px, tf.shape(grid)[0], 0)]
  return crops.Crop(center_px, tf.fill([tf.shape(center_px)[0]], side_px))


def _views(height_width: tf.Tensor, scales: tuple[float, ...], grids: tuple[int, ...],
           least_tile_px: float) -> crops.Crop:
  """Squares about the whole picture, and its tiles."""
  whole = crops.Crop(tf.reverse(height_width, [0]) / 2, tf.reduce_max(height_width))
  parts = [around(whole, scales), *(tiles(height_width, count, least_tile_px) for count in grids)]
  return crops.Crop(*(tf.concat(values, axis=0) for values in zip(*parts)))


def _line(length_px: tf.Tensor, count: tf.Tensor, side_px: tf.Tensor) -> tf.Tensor:
  """Centres [count] of tiles along a side of the picture, from end to end; one tile stands in the middle."""
  low, high = side_px / 2, length_px - side_px / 2
  return tf.cond(count > 1, lambda: tf.linspace(low, high, count), lambda: length_px[None] / 2)
