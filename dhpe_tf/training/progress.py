"""The position in a training, saved in checkpoints, and the progress bar."""
import json
import math
from typing import Any

import tensorflow as tf
from tqdm import tqdm


class Progress(tf.Module):
  """Position in the training, saved in every checkpoint.

  Attributes:
    epoch: number of finished epochs.
    step: number of finished steps in the current epoch; with `epoch` it gives the position in the data.
    best: lowest value of the monitored scalar so far.
    wait: number of evaluations since `best`.
  """

  def __init__(self):
    super().__init__()
    self.epoch = tf.Variable(0, trainable=False, dtype=tf.int64)
    self.step = tf.Variable(0, trainable=False, dtype=tf.int64)
    self.best = tf.Variable(math.inf, trainable=False, dtype=tf.float32)
    self.wait = tf.Variable(0, trainable=False, dtype=tf.int64)

  def judge(self, value: float) -> None:
    """Updates `best` and `wait` with the monitored value of an evaluation; smaller is better."""
    better = value < float(self.best)
    if better:
      self.best.assign(value)
    self.wait.assign(0 if better else self.wait + 1)


class LastScalars(tf.Module):
  """The scalars of the last finished epoch, saved in every checkpoint."""

  def __init__(self):
    super().__init__()
    self._text = tf.Variable('{}', trainable=False, dtype=tf.string)

  def note(self, logs: dict[str, float]) -> None:
    """Keeps the scalars of an epoch."""
    self._text.assign(json.dumps(logs))

  def read(self) -> dict[str, float]:
    """Returns the scalars; empty before the end of the first epoch and after versions that saved none."""
    return json.loads(self._text.numpy())


class Bar:
  """A progress bar over all steps of the training, with the time left.

  It redraws itself on a terminal and writes a line every half minute into a log file.
  """

  def __init__(self, total_steps: int, first_step: int, shown: bool = True):
    """Starts the bar at step `first_step` of `total_steps`; hidden unless `shown`."""
    self._bar = tqdm(total=total_steps, initial=first_step, unit='step', dynamic_ncols=True, disable=not shown)
    if not self._bar.disable and not self._bar.fp.isatty():
      self._bar.mininterval = 30.

  def advance(self, logs: dict[str, Any]) -> None:
    """Advances the bar by one step and shows the step's loss."""
    self._bar.set_postfix_str(format_logs({'loss': logs['loss']}), refresh=False)
    self._bar.update()

  def note(self, text: str) -> None:
    """Writes a line of text above the bar."""
    if not self._bar.disable:
      self._bar.write(text)

  def close(self) -> None:
    """Stops updating the bar and leaves it visible."""
    self._bar.close()


def format_logs(logs: dict[str, float]) -> str:
  """Formats scalars as 'loss 0.123, val_loss 0.2, ...', without the single terms of the loss."""
  names = [name for name in logs if name in ('loss', 'val_loss') or not name.endswith('_loss')]
  names.sort(key=lambda name: (name != 'loss', name != 'val_loss', name))
  return ', '.join(f'{name} {logs[name]:.4g}' for name in names)
