"""Settings of a training; gin sets every field as `train.<field>`."""
import dataclasses
from collections.abc import Callable, Sequence
from typing import Optional

import gin
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.training.schedules import build_optimizer


@gin.configurable('train', module='dhpe_tf')
@dataclasses.dataclass(frozen=True)
class TrainSettings:
  """Settings of a training of any method; the `Experiment` holds task, method and data.

  Attributes:
    build_optimizer: total_steps -> optimizer; unused if the method has compiled itself.
    epochs: passes over the data, or stretches of `steps_per_epoch`.
    steps_per_epoch: batches in an epoch; None for all batches of the dataset.
    eval_steps: batches in an evaluation; None for all; 0 for no evaluation.
    eval_every: epochs between evaluations.
    strategy: see `strategies.build_strategy`.
    tpu: name of the TPU for strategy 'tpu'.
    precision: 'float32', 'mixed_bfloat16' or 'mixed_float16'.
    jit_compile: whether to compile the whole step with XLA.
    checkpoint_steps: steps between checkpoints; 0 to use `checkpoint_minutes`.
    checkpoint_minutes: minutes between checkpoints.
    initial_weights: folder of another training whose latest weights start this one, for layers that agree in name and
      size. Ignored once this training has a checkpoint of its own.
    keep_checkpoints: number of checkpoints to keep; older ones are deleted.
    log_steps: steps between points in TensorBoard.
    callbacks: functions (model, experiment, settings, log_dir) -> tf.keras.callbacks.Callback, or None for no callback.
      A callback's batch number is the global step.
    patience: evaluations without a lower `monitor` after which the training stops; 0 for no limit.
    monitor: the scalar of the evaluation to be minimised.
    seed: of initial weights, data order and augmentation.
    allow_dead_bindings: whether to continue although some gin settings have no effect.
  """

  build_optimizer: Callable[[int], tf.keras.optimizers.Optimizer] = build_optimizer
  epochs: int = 10
  steps_per_epoch: Optional[int] = None
  eval_steps: Optional[int] = None
  eval_every: int = 1
  strategy: str = 'auto'
  tpu: str = ''
  precision: str = 'float32'
  jit_compile: bool = False
  checkpoint_steps: int = 0
  checkpoint_minutes: float = 5.
  initial_weights: str = ''
  keep_checkpoints: int = 2
  log_steps: int = 20
  callbacks: Sequence[Callable] = ()
  patience: int = 0
  monitor: str = 'loss'
  seed: int = 0
  allow_dead_bindings: bool = False

  def __post_init__(self):
    for name in ('epochs', 'eval_every', 'keep_checkpoints', 'log_steps'):
      # A reference of gin may stand for anything.
      if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
        raise UserError(f'train.{name} is {getattr(self, name)}; it must be at least 1.')
    if self.precision not in ('float32', 'mixed_bfloat16', 'mixed_float16'):
      raise UserError(f'train.precision is {self.precision!r}; it must be float32, mixed_bfloat16 or mixed_float16.')
