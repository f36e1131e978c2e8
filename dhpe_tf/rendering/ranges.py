"""Enumeration: from many ranges of integers to one flat list."""
import tensorflow as tf

_TAG_SHIFT = 24


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
      starts=starts + tag, limits=tf.maximum(limits, starts) + tag, deltas=tf.ones([], tf.int64)).rt_dense_values
  return tf.bitwise.right_shift(packed, _TAG_SHIFT), tf.bitwise.bitwise_and(packed, (1 << _TAG_SHIFT) - 1)
