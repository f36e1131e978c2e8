"""Where a training stands: the part of its state that is neither model nor optimizer, and how it is shown."""
import math
from typing import Any

import tensorflow as tf
from tqdm import tqdm


class Progress(tf.Module):
  """Position in the training; saved in every checkpoint.

  Attributes:
    epoch: epochs finished.
    step: steps done in the current epoch; together with `epoch` the position in the input.
    best: lowest monitored value so far.
    wait: evaluations since then.
  """

  def __init__(self):
    super().__init__()
    self.epoch = tf.Variable(0, trainable=False, dtype=tf.int64)
    self.step = tf.Variable(0, trainable=False, dtype=tf.int64)
    self.best = tf.Variable(math.inf, trainable=False, dtype=tf.float32)
    self.wait = tf.Variable(0, trainable=False, dtype=tf.int64)

  def judge(self, value: float) -> None:
    """Notes an evaluation's monitored value, smaller being better."""
    better = value < float(self.best)
    if better:
      self.best.assign(value)
    self.wait.assign(0 if better else self.wait + 1)


class Bar:
  """A progress bar over all steps of the training, with the time left.

  On a terminal it redraws itself; in a log file a line comes every half minute.
  """

  def __init__(self, total_steps: int, first_step: int, shown: bool = True):
    self._bar = tqdm(total=total_steps, initial=first_step, unit='step', dynamic_ncols=True, disable=not shown)
    if not self._bar.disable and not self._bar.fp.isatty():
      self._bar.mininterval = 30.

  def advance(self, logs: dict[str, Any]) -> None:
    """Goes on by one step."""
    self._bar.set_postfix_str(format_logs({'loss': logs['loss']}), refresh=False)
    self._bar.update()

  def note(self, text: str) -> None:
    """Writes a line above the bar."""
    if not self._bar.disable:
      self._bar.write(text)

  def close(self) -> None:
    """Leaves the bar as it stands."""
    self._bar.close()


def format_logs(logs: dict[str, float]) -> str:
  """'loss 0.123, val_loss 0.2, ...', without the single terms of the loss, which TensorBoard shows."""
  names = [name for name in logs if name in ('loss', 'val_loss') or not name.endswith('_loss')]
  names.sort(key=lambda name: (name != 'loss', name != 'val_loss', name))
  return ', '.join(f'{name} {logs[name]:.4g}' for name in names)
