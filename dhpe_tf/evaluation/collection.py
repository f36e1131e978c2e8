"""Runs methods on records and collects predictions, labels and processor time."""
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from dhpe_tf.errors import UserError
from dhpe_tf.tasks.task import Arrays, Task, Tensors

TRAINING_LIMIT = 4000  # number of instances whose labels represent a training set


class Collected(NamedTuple):
  """Predictions and labels of N instances.

  Attributes:
    predictions: by the name of the method, as `Task.predictions` gives them, each array [N, ...].
    labels: by name, each [N, ...].
    processor_ms: milliseconds of processor time for one instance, without building graphs; None if there was only one
      batch.
  """

  predictions: dict[str, Arrays]
  labels: Arrays
  processor_ms: Optional[float]


def collect(task: Task, answer: Callable[[Tensors], dict[str, Tensors]], batches: Iterable[Tensors], what: str,
            limit: Optional[int] = None, show_progress: bool = True) -> Collected:
  """Runs methods on batches.

  Args:
    task: gives the names of the labels and converts outputs to predictions.
    answer: batch -> outputs by the name of the method.
    batches: of the task.
    what: names the data in progress bar and errors.
    limit: largest number of instances; None for all.
    show_progress: whether to show a bar.

  Returns:
    Predictions, labels and processor time.

  Raises:
    UserError: there is no instance.
  """
  predictions, labels, count, seconds, timed = [], [], 0, 0., 0
  with tqdm(desc=what, unit='image', disable=not show_progress) as bar:
    for batch in batches:
      before = time.process_time()
      outputs = _wait(answer(batch))
      # The first call builds the graph and is not timed.
      if predictions:
        seconds += time.process_time() - before
        timed += len(tf.nest.flatten(batch)[0])
      predictions.append({name: task.predictions(found, batch) for name, found in outputs.items()})
      labels.append(_labels(task, batch))
      size = len(tf.nest.flatten(batch)[0])
      count += size
      bar.update(size)
      if limit is not None and count >= limit:
        break
  if not predictions:
    raise UserError(f'{what}: no image there; make records for this split.')
  return Collected({name: _joined([part[name] for part in predictions], limit) for name in predictions[0]},
                   _joined(labels, limit), 1000 * seconds / timed if timed else None)


def collect_labels(task: Task, batches: Iterable[Tensors], what: str, limit: int = TRAINING_LIMIT) -> Arrays:
  """Collects the labels of at most `limit` instances from batches without augmentation; see `collect`."""
  return collect(task, lambda batch: {}, batches, what, limit).labels


def measure_slices(task: Task, predictions: Arrays, labels: Arrays,
                   kinds: dict[str, np.ndarray]) -> dict[str, dict[str, dict]]:
  """Measures each kind of instance separately by the task's default protocol.

  Args:
    task: measures the predictions.
    predictions: of N instances.
    labels: of the same instances.
    kinds: criterion -> kind [N] of each instance, as `Task.slices` gives them.

  Returns:
    criterion -> kind -> 'images', the number of instances, and the value of each of the task's columns by its title,
    None without labels.
  """
  result: dict[str, dict[str, dict]] = {}
  for criterion, names in kinds.items():
    for name in sorted(set(names) - {''}):
      chosen = names == name
      measured = task.measure(task.protocols[0], {key: value[chosen] for key, value in predictions.items()},
                              {key: value[chosen] for key, value in labels.items()})
      result.setdefault(criterion, {})[name] = {
          'images': int(chosen.sum()), **{column.title: column.of(measured.measures) for column in task.columns}}
  return result


def _labels(task: Task, batch: Tensors) -> dict[str, np.ndarray]:
  """Returns the labels of a batch that measuring needs, and the optional entries that are present."""
  names = [name for name, entry in task.batch.items() if name in task.labels or (entry.optional and name in batch)]
  return {name: np.asarray(batch[name]) for name in names}


def _joined(parts: Sequence[Arrays], limit: Optional[int]) -> dict[str, np.ndarray]:
  """Concatenates arrays by name over batches and cuts them at `limit`."""
  return {name: np.concatenate([part[name] for part in parts])[:limit] for name in parts[0]}


def _wait(outputs: dict[str, Tensors]) -> dict[str, Tensors]:
  """Waits until all outputs are computed, then returns them."""
  for tensor in tf.nest.flatten(outputs):
    if tf.is_tensor(tensor):
      tensor.numpy()
  return outputs
