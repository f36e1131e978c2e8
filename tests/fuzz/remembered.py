"""What an entry need not make anew for every input: graphs, which depend on the files' contents only in part.

Each entry runs in a process of its own, so what is remembered here ends with it.
"""
import functools
import os
import zlib
from collections.abc import Callable
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.data import input_pipeline, shard_checks, tfrecords
from dhpe_tf.tasks.hand.record import HAND_RECORD
from dhpe_tf.tasks.hand.task import HandTask

_TASK = HandTask()
_MOST_SAMPLED_BYTES = 1 << 20


def load_exports_once() -> None:
  """Lets tf.saved_model.load return what it loaded before, as long as the files of the export stay the same."""
  load, known = tf.saved_model.load, {}

  def load_once(folder: str) -> Any:
    inside = [os.path.join(folder, 'saved_model.pb'), *(
        os.path.join(folder, 'variables', name) for name in sorted(os.listdir(os.path.join(folder, 'variables'))))]
    key = tuple((path, os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in inside)
    if key not in known:
      known[key] = load(folder)
    return known[key]

  tf.saved_model.load = load_once


def records(root: str, split: str, size: Optional[int] = None, seed: Optional[tuple[int, int]] = None) -> list[Any]:
  """Reads the records of a split as the input pipeline does, by graphs that are traced once.

  The pipeline itself takes half a second to start, for the same functions in the same order.

  Args:
    root: folder of the record set.
    split: name of the split.
    size: side of the crops of instances, px; None for parsed records.
    seed: of the augmentation; None for none.
  """
  shards, spec = tfrecords.list_shards(root, split), tfrecords.parse_spec(root, HAND_RECORD.schema)
  shard_checks._opened.update(dict.fromkeys(shards))
  if size is not None:
    shard_checks.remember_use(root, input_pipeline._use(_TASK, root, size))
  function = _function(repr(sorted(spec.items())), _Held((spec, _TASK.after_parsing(root))), size, seed)
  return [tf.nest.map_structure(lambda value: value.numpy(), function(record)) for record in _opened(tuple(shards))]


def dataset(root: str, split: str) -> tf.data.Dataset:
  """Parsed records of a split that were read already, in the place of `tfrecords.read`."""
  found = records(root, split)
  return tf.data.Dataset.from_tensor_slices({name: np.stack([record[name] for record in found]) for name in found[0]})


def is_sample(path: str, share: int) -> bool:
  """Whether a file is one of those, 1 in `share` by their content, that go through the pipeline itself."""
  if not os.path.isfile(path) or os.path.getsize(path) > _MOST_SAMPLED_BYTES:
    return True
  with open(path, 'rb') as file:
    return zlib.crc32(file.read()) % share == 0


class _Held(tuple):
  """Parse specification and change after parsing; equal if the change is, because the specification has its own key."""

  def __eq__(self, other: object) -> bool:
    return isinstance(other, _Held) and self[1] is other[1]

  def __hash__(self) -> int:
    return hash(self[1])


@functools.cache
def _opened(shards: tuple[str, ...]) -> tf.data.Dataset:
  """The serialized records of shards."""
  return shard_checks.open_shards(shards)


@functools.lru_cache(4)
def _function(key: str, held: _Held, size: Optional[int], seed: Optional[tuple[int, int]]) -> Callable:
  """Parses a record and, for a size, makes its instance."""
  del key
  spec, change = held

  @tf.function(autograph=False, input_signature=[tf.TensorSpec([], tf.string)])
  def parse(serialized: tf.Tensor) -> Any:
    record = HAND_RECORD.schema.check_parsed(tf.io.parse_single_example(serialized, spec))
    record = change(record) if change else record
    if size is None:
      return record
    return _TASK.instance(record, size, None if seed is None else tf.constant(seed, tf.int64))
  return parse
