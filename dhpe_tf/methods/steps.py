"""The one train step of all methods that learn: losses by instance, replica-invariant, scaled and clipped."""
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Optional

import tensorflow as tf

from dhpe_tf.methods import method
from dhpe_tf.tasks.task import Task, Tensors


class Losses(NamedTuple):
  """The losses of a batch, by instance.

  Attributes:
    total: `[B]`, whose weighted mean the step minimises.
    terms: the terms of the total by name, each `[B]` and without its factor, for the logs.
    weights: `[B]`, how much each instance counts; None counts all alike.
  """

  total: tf.Tensor
  terms: Mapping[str, tf.Tensor]
  weights: Optional[tf.Tensor] = None

  @property
  def known_weights(self) -> tf.Tensor:
    """The weights `[B]`, ones where there are none."""
    return tf.ones_like(self.total) if self.weights is None else self.weights


class TrainableMethod(tf.keras.Model, method.Method):
  """A functional Keras model that answers a task and learns from its batches.

  A subclass overrides `losses`, and where needed `measures`, `taken`, `extended`, `extra_logs`, `warnings`,
  `slowed` and `begin_epoch`. Its constructor calls `watch` with the names of its terms and measures.
  """

  def __init__(self, inputs: Mapping[str, tf.Tensor], outputs: Mapping[str, tf.Tensor], task: Task, name: str):
    super().__init__(inputs=inputs, outputs=outputs, name=name)
    self.task = task
    self._means = _Means()

  @property
  def input_specs(self) -> dict[str, tf.TensorSpec]:
    """The specifications of its Keras inputs, by their names."""
    return {tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype, tensor.name) for tensor in self.inputs}

  @property
  def output_specs(self) -> Mapping[str, tf.TensorSpec]:
    """The specifications of its Keras outputs, by name; lists of tensors, for its own losses, are left out."""
    return {name: value for name, value in self.output.items() if not isinstance(value, (list, tuple))}

  def answer(self, inputs: Tensors) -> Tensors:
    """The model's outputs for `inputs`, not in training mode."""
    return self(inputs, training=False)

  def watch(self, terms: list[str], measures: list[str], training_only: list[str] = ()) -> None:
    """Names the scalars that the steps report.

    Args:
      terms: of the loss; reported as `<term>_loss`.
      measures: of `measures`.
      training_only: further names that `extra_logs` gives in training.
    """
    self._means = _Means(['loss', *(f'{term}_loss' for term in terms), *measures], training_only)

  @property
  def metrics(self) -> list[tf.keras.metrics.Metric]:
    """The Keras metrics that the steps report: means over the instances since their reset."""
    return [*self._means.by_name.values(), *self._means.training_only.values()]

  # What a subclass defines.

  def losses(self, batch: Tensors, outputs: Tensors, training: bool) -> Losses:
    """The losses of a batch.

    Args:
      batch: of the task, by the names of its batch contract.
      outputs: of this model for the batch.
      training: whether networks that run again for a loss (on masked pictures) run in training mode.

    Returns:
      `Losses`, each `[B]`.
    """
    raise NotImplementedError(f'{type(self).__name__} defines no losses')

  def measures(self, batch: Tensors, outputs: Tensors) -> dict[str, tuple[tf.Tensor, tf.Tensor]]:
    """Figures to watch: by name the values `[B]` and their weights `[B]` in the mean."""
    del batch, outputs
    return {}

  def taken(self, batch: Tensors) -> Tensors:
    """The part of a batch that the steps call the Keras model with. It may differ from what `answer` takes.

    Raises:
      UserError: the batch lacks one of them.
    """
    return method.inputs_of(batch, self.input_specs)

  def extended(self, batch: Tensors) -> Tensors:
    """The batch `[B + N]` that a training step learns from: the B given instances, then N added ones (here none)."""
    return batch

  def extra_logs(self, weights: tf.Tensor, count: tf.Tensor) -> dict[str, tf.Tensor]:
    """Values for the `training_only` means, from all weights `[B + N]` and the number B of given instances."""
    del weights, count
    return {}

  def warnings(self, logs: Mapping[str, float]) -> list[str]:
    """Texts for the training's log about the scalars of an epoch; those of its evaluation have the prefix 'val_'."""
    del logs
    return []

  @property
  def slowed(self) -> tuple[Sequence[tf.Variable], float]:
    """Weights that take only a share of each step of the optimizer, and that share; here none."""
    return (), 1.

  def begin_epoch(self, epoch: int) -> bool:
    """Tells the method which epoch (from 0) begins, so that it can change its step.

    Returns:
      Whether the step changes, so that a compiled `train_step` must be compiled anew.
    """
    del epoch
    return False

  # The steps.

  @tf.autograph.experimental.do_not_convert  # there is no Python control flow on tensors in it
  def train_step(self, data: Tensors) -> Tensors:
    """One step of gradient descent on a batch; returns the means since the metrics were reset.

      L = sum_b w_b L_b / sum_b w_b, b over the instances of all replicas.

    Each replica divides its own sum by the weights of all replicas, and the optimizer adds up the replicas' gradients
    (and clips them afterwards), so the number of replicas does not change the step. The exception is batch
    normalisation that is not frozen: each replica uses its own statistics.
    """
    batch = self.extended(data)
    with tf.GradientTape() as tape:
      outputs = self(self.taken(batch), training=True)
      losses = self.losses(batch, outputs, training=True)
      losses = losses._replace(weights=losses.known_weights)
      weights = losses.weights
      loss = tf.math.divide_no_nan(tf.reduce_sum(weights * losses.total), _sum_over_replicas(weights))
      scaled = self.optimizer.get_scaled_loss(loss) if self._scales_losses else loss
    gradients = tape.gradient(scaled, self.trainable_variables)
    if self._scales_losses:
      gradients = self.optimizer.get_unscaled_gradients(gradients)
    # Variables that no active term reaches have no gradient.
    self.optimizer.apply_gradients(
        [pair for pair in zip(gradients, self.trainable_variables) if pair[0] is not None])
    return self._report_training(data, outputs, losses)

  @tf.autograph.experimental.do_not_convert
  def test_step(self, data: Tensors) -> Tensors:
    """Losses and figures of a batch without learning from it; returns the means since the metrics were reset."""
    outputs = self(self.taken(data), training=False)
    return self._report(data, outputs, self.losses(data, outputs, training=False))

  @property
  def _scales_losses(self) -> bool:
    """Whether the optimizer scales losses (mixed float16), so that small gradients do not vanish."""
    return isinstance(self.optimizer, tf.keras.mixed_precision.LossScaleOptimizer)

  def _report_training(self, given: Tensors, outputs: Tensors, losses: Losses) -> Tensors:
    """The means over the given instances, without the added ones, and the values of `extra_logs`."""
    count = tf.shape(tf.nest.flatten(given)[0])[0]
    logs = self._report(given, *tf.nest.map_structure(lambda x: x[:count], (outputs, losses)))
    for name, values in self.extra_logs(losses.weights, count).items():
      self._means.training_only[name].update_state(values)
      logs[name] = self._means.training_only[name].result()
    return logs

  def _report(self, batch: Tensors, outputs: Tensors, losses: Losses) -> Tensors:
    """Updates the means of the losses, terms and measures of a batch; returns all of them by name."""
    means, weights = self._means.by_name, losses.known_weights
    means['loss'].update_state(losses.total, weights)
    for name, values in losses.terms.items():
      means[f'{name}_loss'].update_state(values, weights)
    for name, (values, value_weights) in self.measures(batch, outputs).items():
      means[name].update_state(values, value_weights)
    return {name: mean.result() for name, mean in means.items()}


class _Means:
  """Keras means by name, in an object of our own: Keras would track those in a dict or attribute as weights."""

  def __init__(self, names: list[str] = (), training_only: list[str] = ()):
    self.by_name = {name: tf.keras.metrics.Mean(name=name) for name in names}
    self.training_only = {name: tf.keras.metrics.Mean(name=name) for name in training_only}


def _sum_over_replicas(values: tf.Tensor) -> tf.Tensor:
  """The sum [] of values [B] over all replicas."""
  return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.reduce_sum(values))
