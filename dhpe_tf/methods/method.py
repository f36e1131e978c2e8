"""The interface of a method: one way to answer a task.

A method that learns is a Keras model (`steps.TrainableMethod`); one that does not, such as a fit, is any object with
these functions. Its inputs have the names of the task's batch contract, its answers those of the output contract.
"""
import types
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

import tensorflow as tf

from dhpe_tf.data import contract
from dhpe_tf.errors import UserError
from dhpe_tf.tasks.task import Signature, Task, Tensors


class LiteParts(NamedTuple):
  """What a method gives to TensorFlow Lite, so that predictions on a processor take less time.

  Attributes:
    networks: Keras models from pictures to named tensors, by name; each becomes a file of the export.
    settings: further numbers, for the model card, with which `Task.quicker` puts them together again.
  """

  networks: Mapping[str, tf.keras.Model]
  settings: Mapping[str, Any]


class Method:
  """One way to answer a task.

  Attributes:
    task: the task that it answers.
    can_refine: whether `refined` is implemented.
    used_later: names of gin configurables that act only after training, in refinement for instance, so that settings of
      theirs are not taken for mistakes.
    usage: how to use the method where that is not usual, for the model card: conventions of inputs by their names, for
      the task, and 'refine_steps', the number of steps of refinement that pay.
  """

  task: Task
  can_refine: bool = False
  used_later: Sequence[str] = ()
  usage: Mapping[str, Any] = types.MappingProxyType({})

  @property
  def input_specs(self) -> dict[str, tf.TensorSpec]:
    """Specifications of its inputs, by their names in the batch; axis 0 of each is the batch, of any size."""
    raise NotImplementedError

  @property
  def output_specs(self) -> Mapping[str, tf.TensorSpec]:
    """Specifications of its answers, by name; axis 0 of each is the batch."""
    raise NotImplementedError

  def answer(self, inputs: Tensors) -> Tensors:
    """Answers a batch of inputs; may be called inside a tf.function.

    Args:
      inputs: tensors by the names of `input_specs`.

    Returns:
      Tensors by the names of `output_specs`.
    """
    raise NotImplementedError

  def refined(self, inputs: Tensors, steps: Sequence[int]) -> list[Tensors]:
    """The answers after each of several numbers of steps of refinement.

    Args:
      inputs: tensors by the names of `input_specs`.
      steps: numbers of steps; 0 is the plain answer.

    Returns:
      The answers, by name, for each of `steps`.

    Raises:
      UserError: the method has no refinement.
    """
    raise UserError(f'{type(self).__name__} has no refinement; leave out --refine_steps')

  def signatures(self) -> dict[str, Signature]:
    """Further functions of a SavedModel, by name.

    A signature 'refine' takes the method's inputs, the scalar int32 'steps', and any further known values; zeros there
    mean that nothing is known.
    """
    return {}

  def before_export(self, weights: Optional[str] = None) -> None:
    """Gets ready for an export, before any of its functions is traced for it; here nothing to do.

    The method is not trained any further afterwards: what is frozen may change its type.

    Args:
      weights: type in which weights rest in the export, 'float32', 'float16' or 'int8', see `networks.at_rest`; None
        for the method's usual.

    Raises:
      UserError: the method has no choice.
    """
    if weights:
      raise UserError(f'--weights={weights}: {type(self).__name__} keeps its weights as it learnt them; leave it out.')

  def lite_parts(self) -> Optional[LiteParts]:
    """Returns the networks that an export holds as files of TensorFlow Lite too, or None; after `before_export`."""
    return None


def check(method: Method) -> None:
  """Compares a method's input and output specifications with its task's contracts.

  Raises:
    UserError: they differ.
  """
  task, name = method.task, type(method).__name__
  takable = {entry_name: entry._replace(optional=True) for entry_name, entry in task.batch.items()}
  contract.check(method.input_specs, takable, f'what {name} takes of the task {task.name}', strict=True)
  contract.check(method.output_specs, task.outputs, f'what {name} answers to the task {task.name}')


def inputs_of(batch: Tensors, specs: Mapping[str, tf.TensorSpec]) -> Tensors:
  """The part of a batch that a method with the input specifications `specs` takes, by name.

  Raises:
    UserError: the batch lacks one of them.
  """
  missing = [name for name in specs if name not in batch]
  if missing:
    raise UserError(f'the batch has no {", ".join(missing)}, which the method takes; it has {", ".join(sorted(batch))}')
  return {name: batch[name] for name in specs}
