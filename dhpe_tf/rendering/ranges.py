"""Enumeration: from many ranges of integers to one flat list, of whatever length results or of a fixed one for XLA."""
from collections.abc import Sequence
from typing import Optional, Union

import tensorflow as tf

_TAG_SHIFT = 24
_BLOCK = 256


class Budget:
  """Fixed lengths for the lists of one computation, so that XLA can compile it; says whether one was too short.

  Attributes:
    overflow: bool [], whether any list lost entries. Its results are then worthless.

  Args:
    *sizes: lengths, in the order in which the lists are made.
  """

  def __init__(self, *sizes: int):
    self._sizes = list(sizes)
    self.overflow = tf.constant(False)

  def expand(self, starts: tf.Tensor, limits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """`expand_ranges` to the next fixed length M: int32 [M] index, int32 [M] integer, bool [M] whether it is used.

    Unused entries have index and integer 0.
    """
    size = self._sizes.pop(0)
    starts, limits = tf.cast(starts, tf.int32), tf.cast(limits, tf.int32)
    ends = _prefix_sum(tf.maximum(limits - starts, 0))
    offsets = tf.concat([[0], ends[:-1]], axis=0)
    self.overflow |= ends[-1] > size
    # Entry m belongs to the last range that begins at or before m: count the beginnings.
    begins = tf.math.unsorted_segment_sum(tf.ones_like(offsets), tf.minimum(offsets, size), size + 1)[:-1]
    index = _prefix_sum(begins) - 1
    entry = tf.range(size)
    there = entry < ends[-1]
    index = tf.where(there, index, 0)
    return index, tf.where(there, tf.gather(starts - offsets, index) + entry, 0), there


def _prefix_sum(x):
  """Inclusive running sum of int32 [N], in blocks: XLA's own takes quadratic time on some devices."""
  length = x.shape[0]
  rows = -(-length // _BLOCK)
  blocks = tf.cumsum(tf.reshape(tf.pad(x, [[0, rows * _BLOCK - length]]), [rows, _BLOCK]), axis=1)
  before = tf.cumsum(blocks[:, -1], exclusive=True) if rows <= _BLOCK else _prefix_sum(blocks[:, -1]) - blocks[:, -1]
  return tf.reshape(blocks + before[:, tf.newaxis], [-1])[:length]


def expand(starts: tf.Tensor, limits: tf.Tensor,
           budget: Optional[Budget] = None) -> tuple[tf.Tensor, tf.Tensor, Optional[tf.Tensor]]:
  """`budget.expand` if there is a budget, else `expand_ranges` with None as third result: all entries are used."""
  return (*expand_ranges(starts, limits), None) if budget is None else budget.expand(starts, limits)


def expand_ranges(starts: tf.Tensor, limits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Lists every integer of many ranges.

  Args:
    starts: int64 [N], each in 0 .. 2^24 - 1.
    limits: int64 [N], each at most 2^24; a range whose limit is not above its start is empty.

  Returns:
    (int64 [M] index of the range, ascending; int64 [M] the integer).
  """
  # One op does it: the index of the range rides in the upper bits of the counted number.
  tag = tf.bitwise.left_shift(tf.range(tf.size(starts, out_type=tf.int64)), _TAG_SHIFT)
  packed = tf.raw_ops.RaggedRange(
      starts=starts + tag, limits=limits + tag, deltas=tf.ones([], tf.int64)).rt_dense_values
  return tf.bitwise.right_shift(packed, _TAG_SHIFT), tf.bitwise.bitwise_and(packed, (1 << _TAG_SHIFT) - 1)


def columns_of(table: tf.Tensor) -> list[tf.Tensor]:
  """The C columns [N] of a table [N, C]; on a CPU up to twice as fast as unstacking its last axis."""
  return tf.unstack(tf.transpose(table))


def table_of(columns: Sequence[tf.Tensor]) -> tf.Tensor:
  """The table [N, C] of C columns [N]; on a CPU two to four times as fast as stacking on the last axis."""
  return tf.transpose(tf.stack(columns))


def centres_within(low: tf.Tensor, high: tf.Tensor, size: Union[int, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
  """The pixels of a row (or column) whose centres lie in intervals.

  Args:
    low: [N], pixels; may be infinite, not NaN.
    high: [N].
    size: number of pixels.

  Returns:
    (int64 [N] the first, at least 0; int64 [N] one beyond the last, at most `size`; not above the first if none).
  """
  size = tf.cast(size, low.dtype)
  first = tf.math.ceil(clip(low, 0, size + 1) - .5)
  last = tf.floor(clip(high, -1, size) - .5)
  return tf.cast(first, tf.int64), tf.cast(last, tf.int64) + 1


def clip(x: tf.Tensor, low: Union[float, tf.Tensor], high: Union[float, tf.Tensor]) -> tf.Tensor:
  """min(max(x, low), high) for scalar bounds, as one operation; tf.clip_by_value takes two."""
  return tf.raw_ops.ClipByValue(t=x, clip_value_min=tf.cast(low, x.dtype), clip_value_max=tf.cast(high, x.dtype))


def list_true(flags: tf.Tensor, budget: Optional[Budget] = None) -> tuple[tf.Tensor, Optional[tf.Tensor]]:
  """Indices int32 [M] of the true entries of bool [N], and which of them are used, bool [M] (None without a budget)."""
  if budget is None:
    return tf.cast(tf.where(flags)[:, 0], tf.int32), None
  index, _, there = budget.expand(tf.zeros_like(flags, tf.int32), tf.cast(flags, tf.int32))
  return index, there
