"""Request batching as TensorFlow Serving's: what waits for one signature is run as one batch.

Requests of one signature that ask for all of its outputs are concatenated along axis 0, run at once, and their answers
split again. So, as there, every input and output needs equally many rows; requests whose rows differ in shape fail one
another; and what fails a batch fails all of its requests. Like native_session this file imports nothing of dhpe_tf.
"""
import collections
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Optional

import numpy as np

INVALID_ARGUMENT, FAILED_PRECONDITION, UNAVAILABLE = 3, 9, 14  # numbers of gRPC's and TensorFlow's codes
Arrays = Mapping[str, np.ndarray]


class ServingError(ValueError):
  """A request that has no answer.

  Attributes:
    code: number of the code of gRPC and TensorFlow.
  """

  def __init__(self, code: int, message: str):
    super().__init__(message)
    self.code = code


class Batching(NamedTuple):
  """Settings, by the names of TensorFlow Serving's batching parameters.

  Attributes:
    max_batch_size: largest number of rows of a batch, and of a request.
    batch_timeout_s: longest wait of a request for others.
    max_enqueued_batches: so many full batches may wait; further requests are told to come back (UNAVAILABLE).
    num_batch_threads: batches that run at the same time.
  """

  max_batch_size: int = 32
  batch_timeout_s: float = 0.005
  max_enqueued_batches: int = 100
  num_batch_threads: int = 2


class _Task:
  """A request that waits."""

  def __init__(self, inputs: Arrays, rows: int):
    self.inputs, self.rows, self.since = inputs, rows, time.monotonic()
    self.done = threading.Event()
    self.outputs: Optional[dict[str, np.ndarray]] = None
    self.error: Optional[Exception] = None


class Batcher:
  """Collects requests and runs them as batches."""

  def __init__(self, run: Callable[[str, Arrays], Arrays], settings: Batching):
    """Starts the threads.

    Args:
      run: (signature, inputs) -> outputs, for a whole batch.
      settings: sizes and times.
    """
    self._run, self._settings = run, settings
    self._queues: dict[str, collections.deque] = collections.defaultdict(collections.deque)
    self._condition, self._closed = threading.Condition(), False
    for _ in range(settings.num_batch_threads):
      threading.Thread(target=self._work, daemon=True).start()

  def run(self, signature: str, inputs: Arrays) -> Arrays:
    """Answers a request as a part of some batch.

    Raises:
      ServingError: it cannot be a part of a batch, the queue is full, or its batch failed.
    """
    task = _Task(inputs, self._count_rows(inputs))
    with self._condition:
      waiting = sum(queued.rows for queued in self._queues[signature])
      if waiting + task.rows > self._settings.max_enqueued_batches * self._settings.max_batch_size:
        raise ServingError(UNAVAILABLE, 'too many requests wait; come back later')
      self._queues[signature].append(task)
      self._condition.notify()
    task.done.wait()
    if task.error is not None:
      raise task.error
    return task.outputs

  def close(self) -> None:
    """Answers what waits and ends the threads."""
    with self._condition:
      self._closed = True
      self._condition.notify_all()

  def _count_rows(self, inputs: Arrays) -> int:
    """The number of rows of a request."""
    if any(value.ndim == 0 for value in inputs.values()):
      raise ServingError(INVALID_ARGUMENT, 'a batched signature takes no scalar; ask a server without batching')
    counts = {len(value) for value in inputs.values()}
    if len(counts) != 1:
      raise ServingError(INVALID_ARGUMENT, f'inputs must have equally many rows, but have {sorted(counts)}')
    rows = counts.pop()
    if rows > self._settings.max_batch_size:
      raise ServingError(INVALID_ARGUMENT, f'{rows} rows are more than a batch of {self._settings.max_batch_size}')
    return rows

  def _work(self) -> None:
    """Runs batches until the batcher is closed and nothing waits."""
    while True:
      signature, tasks = self._next()
      if not tasks:
        return
      try:
        self._answer(signature, tasks)
      except Exception as error:
        for task in tasks:
          task.error = error
      for task in tasks:
        task.done.set()

  def _next(self) -> tuple[str, list[_Task]]:
    """Waits for a batch that is full or has waited long enough; no tasks when the batcher has ended."""
    with self._condition:
      while True:
        waiting = {name: queue for name, queue in self._queues.items() if queue}
        ready = [name for name, queue in waiting.items() if self._is_ready(queue)]
        if ready:
          oldest = min(ready, key=lambda name: waiting[name][0].since)
          return oldest, self._take(waiting[oldest])
        if self._closed:
          return '', []
        ends = [queue[0].since + self._settings.batch_timeout_s for queue in waiting.values()]
        self._condition.wait(max(0., min(ends) - time.monotonic()) if ends else None)

  def _is_ready(self, queue: collections.deque) -> bool:
    """Whether the tasks of a queue make a batch now."""
    full = sum(task.rows for task in queue) >= self._settings.max_batch_size
    return full or self._closed or time.monotonic() >= queue[0].since + self._settings.batch_timeout_s

  def _take(self, queue: collections.deque) -> list[_Task]:
    """Takes the tasks of a batch from the head of a queue."""
    tasks = [queue.popleft()]
    rows = tasks[0].rows
    while queue and rows + queue[0].rows <= self._settings.max_batch_size:
      rows += queue[0].rows
      tasks.append(queue.popleft())
    return tasks

  def _answer(self, signature: str, tasks: list[_Task]) -> None:
    """Runs the tasks as one batch and gives each its rows of the results."""
    merged = {name: _concatenated(name, [task.inputs[name] for task in tasks]) for name in tasks[0].inputs}
    outputs = self._run(signature, merged)
    total = sum(task.rows for task in tasks)
    for name, value in outputs.items():
      if value.ndim == 0 or len(value) != total:
        raise ServingError(FAILED_PRECONDITION, f'{name} has no row for each of the {total} rows of the batch; ask a '
                           'server without batching')
    start = 0
    for task in tasks:
      task.outputs = {name: value[start:start + task.rows] for name, value in outputs.items()}
      start += task.rows


def _concatenated(name: str, values: list[Any]) -> np.ndarray:
  """Values of one input, one after the other."""
  if len({value.shape[1:] for value in values}) > 1:
    raise ServingError(FAILED_PRECONDITION, f'{name}: rows of requests in one batch differ in shape')
  return np.concatenate(values)
