"""Running methods over records: predictions, labels, and what they cost."""
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from dhpe_tf.errors import UserError
from dhpe_tf.tasks.task import Arrays, Task, Tensors

TRAINING_LIMIT = 4000  # instances whose labels stand for a whole training set


class Collected(NamedTuple):
  """What came of N instances.

  Attributes:
    predictions: by the name of what answered, as `Task.predictions` gives them, each [N, ...].
    labels: by name, each [N, ...].
    processor_ms: processor time that an instance took, without the making of graphs; None where one batch was all.
  """

  predictions: dict[str, Arrays]
  labels: Arrays
  processor_ms: Optional[float]


def collect(task: Task, answer: Callable[[Tensors], dict[str, Tensors]], batches: Iterable[Tensors], what: str,
            limit: Optional[int] = None, show_progress: bool = True) -> Collected:
  """Runs methods over batches.

  Args:
    task: says which labels are wanted and what predictions are.
    answer: a batch -> outputs by the name of what answered.
    batches: of the task.
    what: names the data in progress bar and errors.
    limit: most instances to take; None for all.
    show_progress: show a bar.

  Raises:
    UserError: there is no instance.
  """
  predictions, labels, count, seconds, timed = [], [], 0, 0., 0
  with tqdm(desc=what, unit='image', disable=not show_progress) as bar:
    for batch in batches:
      before = time.process_time()
      outputs = _wait(answer(batch))
      # The first call makes the graph.
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
  """The labels of batches that are not augmented; see `collect`."""
  return collect(task, lambda batch: {}, batches, what, limit).labels


def measure_slices(task: Task, predictions: Arrays, labels: Arrays,
                   kinds: dict[str, np.ndarray]) -> dict[str, dict[str, dict]]:
  """Measures each kind of instance on its own by the task's default protocol.

  Args:
    task: measures.
    predictions: of N instances.
    labels: of the same.
    kinds: of `Task.slices`.

  Returns:
    By criterion and kind: 'images', how many there are, and the task's columns by title, None without labels.
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
  """The labels of a batch: those that measuring needs, and what there is of the optional ones."""
  names = [name for name, entry in task.batch.items() if name in task.labels or (entry.optional and name in batch)]
  return {name: np.asarray(batch[name]) for name in names}


def _joined(parts: Sequence[Arrays], limit: Optional[int]) -> dict[str, np.ndarray]:
  return {name: np.concatenate([part[name] for part in parts])[:limit] for name in parts[0]}


def _wait(outputs: dict[str, Tensors]) -> dict[str, Tensors]:
  """Returns the outputs once they are computed."""
  for tensor in tf.nest.flatten(outputs):
    if tf.is_tensor(tensor):
      tensor.numpy()
  return outputs
