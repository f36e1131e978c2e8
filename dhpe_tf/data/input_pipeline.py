"""From records to batches: reads, mixes, shuffles and resumes; the task turns a record into an instance."""
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import gin
import tensorflow as tf

from dhpe_tf.data import contract, damaged_pictures, shard_checks, tfrecords
from dhpe_tf.errors import UserError

Source = tuple[str, str, float]  # root, split, weight in the mixture


@gin.configurable(module='data', denylist=['task'])
def build_dataset(task: Any, sources: Sequence[Source] = (), batch_size: int = 32, image_size: int = 224,
                  training: bool = True, seed: int = 0, epoch: int = 0, shuffle_buffer: int = 2048,
                  augment: bool = True, skip_batches: int = 0, how_to_make: str = '',
                  skip_damaged: bool = False) -> tf.data.Dataset:
  """Builds the batches of one epoch; equal arguments give equal batches.

  Args:
    task: a `tasks.task.Task`; it defines records and instances.
    sources: record sets as (root, split, weight). In training they are mixed at random in proportion to their weights,
      without end. Otherwise each is read once, one after another, and the last batch may be smaller.
    batch_size: of all replicas together.
    image_size: side of the images, px.
    training: whether to shuffle, repeat and augment.
    seed: of order and augmentation.
    epoch: each epoch has its own order and augmentation.
    shuffle_buffer: size of the shuffle buffer of each source, in records.
    augment: whether training changes views and colours.
    skip_batches: number of batches to leave out at the start, without decoding them, to resume within an epoch.
    skip_damaged: whether to leave out records with a damaged picture, name each once on stderr and count them, at the
      price of decoding each picture twice; otherwise such a record ends the training with an error that names it.
    how_to_make: the remedy named in the error if a record set is missing; a general one by default.

  Returns:
    A dataset of dicts that follow the task's batch contract.

  Raises:
    UserError: no source, a record set that is missing or does not fit, a weight that is not above zero, or instances
      that break the task's batch contract.
  """
  check_sources(sources, 'build_dataset', how_to_make)
  for root, _, _ in sources:
    shard_checks.remember_use(root, _use(task, root, image_size))
  if training:
    records = mixed_records(task, sources, seed, epoch, shuffle_buffer, skip_damaged)
  else:
    parts = [_parsed(task, root, split, tfrecords.read_serialized(root, split, places=skip_damaged), skip_damaged)
             for root, split, _ in sources]
    records = functools.reduce(tf.data.Dataset.concatenate, parts)
  changed = training and augment

  @tf.autograph.experimental.do_not_convert  # AutoGraph has nothing to convert here and would take seconds.
  def instance(number: tf.Tensor, record: dict) -> dict:
    """Makes the instance of record `number` of the epoch; its seed is (epoch seed, number)."""
    place = instance_seed(seed, epoch, number) if changed else None
    return task.instance(record, image_size, place)

  batches = records.enumerate().skip(skip_batches * batch_size).map(
      instance, tf.data.AUTOTUNE, deterministic=True).batch(batch_size, drop_remainder=training).prefetch(2)
  contract.check(batches.element_spec, task.batch, f'a batch of the task {task.name}')
  return by_batch(batches)


def check_sources(sources: Sequence[Source], dataset: str, how_to_make: str = '') -> None:
  """Checks the sources of a dataset.

  Args:
    sources: as of `build_dataset`.
    dataset: name of the function whose setting they are.
    how_to_make: the remedy for a record set that is missing; without one that is left to whoever reads it.

  Raises:
    UserError: no source, a weight that is not above zero, or a missing record set.
  """
  if not sources:
    raise UserError(f'{dataset}.sources is empty; name at least one (root, split, weight)')
  for root, split, weight in sources:
    if weight <= 0:
      raise UserError(f'{dataset}.sources: weight {weight} of {root} {split} is not above zero')
    if how_to_make and not os.path.isdir(root):
      raise UserError(f'no record set {root}: {how_to_make}')


def mixed_records(task: Any, sources: Sequence[Source], seed: int, epoch: int, shuffle_buffer: int = 2048,
                  skip_damaged: bool = False) -> tf.data.Dataset:
  """The parsed records of a training without end, in random order and mixed by weight.

  Arguments are those of `build_dataset`; the sources are checked already (`check_sources`).

  Raises:
    UserError: a record set is missing or does not fit.
  """
  parts = [_endless(task, root, split, _mix(seed, epoch, number), shuffle_buffer, skip_damaged)
           for number, (root, split, _) in enumerate(sources)]
  weights = [float(weight) for _, _, weight in sources]
  return tf.data.Dataset.sample_from_datasets(
      parts, [weight / sum(weights) for weight in weights], seed=_mix(seed, epoch, -1))


def instance_seed(seed: int, epoch: int, number: tf.Tensor) -> tf.Tensor:
  """The seed `[2]` int64 of instance `number` (scalar int64) of an epoch."""
  return tf.stack([tf.cast(_mix(seed, epoch, 0), tf.int64), number])


def by_batch(dataset: tf.data.Dataset) -> tf.data.Dataset:
  """Makes tf.distribute split each batch over the workers; splitting by files would change the batches."""
  options = tf.data.Options()
  options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
  return dataset.with_options(options)


def _endless(task: Any, root: str, split: str, seed: int, shuffle_buffer: int, skip_damaged: bool) -> tf.data.Dataset:
  """Returns the parsed records of a split in random order, repeated without end."""
  records = tfrecords.read_serialized(root, split, seed, places=skip_damaged)
  return _parsed(task, root, split, records.shuffle(shuffle_buffer, seed=seed).repeat(), skip_damaged)


def _parsed(task: Any, root: str, split: str, serialized: tf.data.Dataset, skip_damaged: bool) -> tf.data.Dataset:
  """Parses serialized records, which come with their places if `skip_damaged`; applies the task's `after_parsing`."""
  parse_one = _parser(task, root)

  @tf.autograph.experimental.do_not_convert
  def parse(text: tf.Tensor, *place: tf.Tensor) -> Any:
    record = parse_one(text)
    return (record, *place) if place else record

  parsed = serialized.map(parse, tf.data.AUTOTUNE, deterministic=True)
  if not skip_damaged:
    return parsed
  return damaged_pictures.leave_out(parsed, task.record.schema, tfrecords.count(root, split))


def _parser(task: Any, root: str) -> Callable[[tf.Tensor], dict]:
  """Returns the function from a serialized record of a record set to its fields as the task wants them."""
  spec = tfrecords.parse_spec(root, task.record.schema)
  change = task.after_parsing(root)

  def parse(text: tf.Tensor) -> dict:
    record = task.record.schema.check_parsed(tf.io.parse_single_example(text, spec))
    return change(record) if change else record
  return parse


def _use(task: Any, root: str, image_size: int) -> Callable[[tf.Tensor], dict]:
  """Returns a function that makes the instance of a serialized record, to find the one that cannot be made."""
  @tf.function(autograph=False, input_signature=[tf.TensorSpec([], tf.string)])
  def use(text: tf.Tensor) -> dict:
    return task.instance(_parser(task, root)(text), image_size, None)
  return use


def _mix(seed: int, epoch: int, source: int) -> int:
  """Combines three numbers into one seed, such that neighbouring numbers give different seeds."""
  return (seed * 1_000_003 + epoch * 7_919 + source * 104_729 + 12_345) % (2**31 - 1)
