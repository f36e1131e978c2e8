"""Batches of pairs of views: two crops of each picture, turned, moved, scaled and coloured at random.

The entries crop_center_px, crop_side_px and crop_turn of each row record what was done (`inverse.of_pairs`). Labels, if
there are any, are carried along and not needed.
"""
from typing import Any

import gin
import tensorflow as tf

from dhpe_tf import errors
from dhpe_tf.data import input_pipeline

_MOST_PASSED = 100_000  # records in a row that are too near to others of their batch


@gin.configurable(module='contrastive', denylist=['task', 'training', 'seed', 'epoch', 'skip_batches'])
def pairs(task: Any, sources: tuple[input_pipeline.Source, ...] = (), batch_size: int = 128, image_size: int = 224,
          training: bool = True, seed: int = 0, epoch: int = 0, skip_batches: int = 0, window: int = 15,
          frame: str = r'^(.*(?:frame|pic)_?)(\d+).*$', shuffle_buffer: int = 2048,
          skip_damaged: bool = False) -> tf.data.Dataset:
  """Batches of pairs of views for the training, plain batches otherwise; for `Experiment.dataset`.

  Neighbouring frames of a video show the same hand and would be pushed apart all the same. So a batch has at most one
  picture of any `window` successive frames of a video, and no picture twice.

  Args:
    task: a task whose records have names, `record.schema.name`.
    sources: record sets as (root, split, weight).
    batch_size: views in a batch, two of each picture; even.
    image_size: side of the views, px.
    training: whether to make pairs; otherwise each record is one instance, as it is.
    seed: of order and views.
    epoch: each has its own order and views.
    skip_batches: number of batches to leave out at the start.
    window: frames of a video nearer to each other than this share no batch; 0 for no rule.
    frame: regular expression whose groups are the video and the number of the frame in a record's name; names that do
      not match are single pictures.
    shuffle_buffer: see `build_dataset`.
    skip_damaged: see `build_dataset`.

  Returns:
    A dataset of dicts that follow the task's batch contract; rows 2i and 2i + 1 are the views of a picture.

  Raises:
    UserError: an odd `batch_size`, or as of `build_dataset`.
  """
  if batch_size % 2:
    raise errors.UserError(f'contrastive.pairs.batch_size is {batch_size}; views come in pairs: make it even')
  input_pipeline.check_sources(sources, 'contrastive.pairs')
  if not training:
    return input_pipeline.build_dataset(task, sources=sources, batch_size=batch_size, image_size=image_size,
                                        training=False, skip_damaged=skip_damaged)
  records = input_pipeline.mixed_records(task, sources, seed, epoch, shuffle_buffer, skip_damaged)
  name = task.record.schema.name_field
  records = apart(records, lambda record: record[name], batch_size // 2, window, frame)

  @tf.autograph.experimental.do_not_convert
  def views(number: tf.Tensor, record: dict) -> dict:
    seeds = (input_pipeline.instance_seed(seed, epoch, 2 * number + side) for side in (0, 1))
    return tf.nest.map_structure(lambda *both: tf.stack(both),
                                 *(task.instance(record, image_size, place) for place in seeds))
  numbered = records.enumerate().skip(skip_batches * (batch_size // 2))
  made = numbered.map(views, tf.data.AUTOTUNE, deterministic=True).unbatch()
  return input_pipeline.by_batch(made.batch(batch_size, drop_remainder=True).prefetch(2))


def apart(items: tf.data.Dataset, name_of: Any, count: int, window: int, frame: str) -> tf.data.Dataset:
  """Passes over items of an endless dataset so that of each `count` successive ones no two are near frames or equal.

  Args:
    items: of any structure.
    name_of: item -> its name, a scalar string.
    count: items in a batch; the first batch begins with the first item.
    window: see `pairs`.
    frame: see `pairs`.

  Returns:
    The items that are left, in order.

  Raises:
    tf.errors.InvalidArgumentError: when it is read, if there are not enough frames that are far from each other.
  """
  if not window:
    return items

  @tf.autograph.experimental.do_not_convert
  def step(state: tuple, item: Any) -> tuple:
    videos, frames, taken, passed = state
    video, number = _frame_of(name_of(item), frame)
    same = (videos == video) & (tf.abs(frames - number) < window) & (tf.range(count) < taken)
    keep = ~tf.reduce_any(same)
    place = (tf.range(count) == taken) & keep
    videos, frames = tf.where(place, video, videos), tf.where(place, number, frames)
    taken = (taken + tf.cast(keep, tf.int32)) % count
    passed = tf.where(keep, 0, passed + 1)
    message = f'contrastive.pairs: too few frames are {window} or more apart for {count} pictures a batch; lower ' \
              'window or batch_size, or add pictures'
    with tf.control_dependencies([tf.debugging.Assert(passed < _MOST_PASSED, [message])]):
      return (videos, frames, tf.identity(taken), passed), (keep, item)
  start = (tf.zeros([count], tf.int64), tf.zeros([count], tf.int64), 0, 0)
  return items.scan(start, step).filter(lambda keep, item: keep).map(lambda keep, item: item)


def _frame_of(name: tf.Tensor, frame: str) -> tuple[tf.Tensor, tf.Tensor]:
  """A number for the video and the number of the frame, int64, of a name; a picture is a video of one frame, 0."""
  of_video = tf.strings.regex_full_match(name, frame)
  number = tf.strings.to_number(tf.where(of_video, tf.strings.regex_replace(name, frame, r'\2'), '0'), tf.int64)
  # A name that does not match stays as it is.
  video = tf.strings.to_hash_bucket_fast(tf.strings.regex_replace(name, frame, r'\1'), 2**62)
  return video, number
