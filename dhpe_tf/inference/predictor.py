"""One interface to whatever answers a task: a method in training, an exported one, a fit, or one behind another."""
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Optional

import tensorflow as tf

from dhpe_tf import experiment
from dhpe_tf.errors import UserError
from dhpe_tf.methods.method import Method
from dhpe_tf.serving import exporter, versions
from dhpe_tf.tasks import registry
from dhpe_tf.tasks.task import Task, Tensors
from dhpe_tf.training.trained import load_trained

_STEPS = 'steps'


class Predictor(NamedTuple):
  """Something ready to answer a task.

  Attributes:
    task: which.
    input_specs: what it takes, by the names of the task's batch.
    answer: inputs -> what the task leaves of the outputs for those who are served.
    card: what it says of itself (`Task.describe`).
    refined: (inputs, numbers of steps) -> the answers after each, 0 being the plain one; None without refinement.
  """

  task: Task
  input_specs: dict[str, tf.TensorSpec]
  answer: Callable[[Tensors], Tensors]
  card: Mapping[str, Any]
  refined: Optional[Callable[[Tensors, Sequence[int]], list[Tensors]]] = None


def load(path: str, gin_params: Sequence[str] = (), trace: bool = False) -> Predictor:
  """A predictor from an export, one of its versions, or the folder of a training.

  Args:
    path: the folder.
    gin_params: settings of a training to be changed.
    trace: make the graph now, under the configuration of the training, for when another one is loaded afterwards.

  Raises:
    UserError: there is neither, or its files are damaged.
  """
  if not os.path.isdir(path):
    raise UserError(f'{path}: no such folder; give an export or the --model_dir of a training.')
  export = find_export(path)
  if export:
    return from_export(export)
  loaded = from_method(load_trained(path, gin_params)[1])
  if trace:
    loaded.answer.get_concrete_function()
  return loaded


def from_configuration() -> Predictor:
  """The method of the gin configuration that has been loaded, for methods that need no training.

  Raises:
    UserError: the method must be trained first.
  """
  built = experiment.Experiment().build_method()
  if isinstance(built, tf.keras.Model):
    raise UserError(f'{type(built).__name__} must be trained first by python -m dhpe_tf.train; then give its folder.')
  return from_method(built)


def from_method(method: Method) -> Predictor:
  """Wraps a method."""
  task, specs = method.task, method.input_specs

  def answer(inputs: Tensors) -> Tensors:
    return task.served(method.answer(inputs))

  def refined(inputs: Tensors, steps: Sequence[int]) -> list[Tensors]:
    return [task.served(outputs) for outputs in method.refined(inputs, steps)]

  return Predictor(task, specs, _as_graph(answer, specs), task.describe(), refined if method.can_refine else None)


def behind(evidence: Predictor, second: Predictor) -> Predictor:
  """`second`, given what `evidence` answers instead of its own inputs."""
  def answer(inputs: Tensors) -> Tensors:
    return second.answer(second.task.evidence(evidence.answer(inputs), list(second.input_specs)))
  return Predictor(second.task, evidence.input_specs, answer, second.card)


def find_export(path: str) -> str:
  """The newest version's folder if `path` is an export or one of its versions; else empty."""
  numbered = [os.path.join(path, str(version)) for version in versions.list_versions(path)]
  found = [folder for folder in [path, *numbered] if os.path.isfile(os.path.join(folder, 'saved_model.pb'))]
  return found[-1] if found else ''


def from_export(folder: str) -> Predictor:
  """Loads a version of an exported model.

  Raises:
    UserError: its files are damaged or incomplete, or its task is not known here.
  """
  card = read_card(folder)
  task_class = registry.find(card.get('task_class', registry.DEFAULT))
  try:
    loaded = tf.saved_model.load(folder)
    signature = loaded.signatures['serving_default']
    specs = {exporter.batch_name(name): spec for name, spec in signature.structured_input_signature[1].items()}
    # Loaded functions keep no reference to their variables' owner; the closures do.
    refine = loaded.signatures['refine'] if 'refine' in loaded.signatures else None
    refined = None if refine is None else lambda inputs, steps: [_refine_once(refine, inputs, n) for n in steps]
    task = task_class()
  except (OSError, KeyError, ValueError, TypeError, AttributeError, tf.errors.OpError) as error:
    raise UserError(f'{folder}: not a complete export ({error}); export the model again.') from error

  def answer(inputs: Tensors) -> Tensors:
    return signature(**{exporter.served_name(name): value for name, value in inputs.items()})
  return Predictor(task, specs, answer, card, refined and _served(task, refined))


def read_card(folder: str) -> dict[str, Any]:
  """The model card of an exported version.

  Raises:
    UserError: it is missing or damaged.
  """
  path = os.path.join(folder, exporter.CARD)
  try:
    with open(path, encoding='utf-8') as file:
      card = json.load(file)
    card['signatures']['serving_default']['inputs'].items()
    return card
  except OSError as error:
    raise UserError(f'{path}: cannot be read ({error.strerror}); export the model again.') from error
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise UserError(f'{folder}: not a complete export (its model card is damaged: {error!r}); export the model '
                    'again.') from error


def _served(task: Task, refined: Callable) -> Callable[[Tensors, Sequence[int]], list[Tensors]]:
  return lambda inputs, steps: [task.served(outputs) for outputs in refined(inputs, steps)]


def _refine_once(refine: Callable[..., Tensors], inputs: Tensors, steps: int) -> Tensors:
  """The signature 'refine' with nothing known but the inputs: zeros for all else that it takes."""
  specs = refine.structured_input_signature[1]
  given = {exporter.served_name(name): value for name, value in inputs.items()}
  count = tf.nest.flatten(inputs)[0].shape[0]
  for name, spec in specs.items():
    if name == _STEPS:
      given[name] = tf.constant(steps, spec.dtype)
    elif name not in given:
      given[name] = tf.zeros([count, *spec.shape[1:]], spec.dtype)
  return refine(**given)


def _as_graph(function: Callable, specs: Mapping[str, tf.TensorSpec]) -> Callable:
  """The function as a graph: one for any batch size where all other sizes are known."""
  known = all(None not in spec.shape[1:] for spec in specs.values())
  signature = [{name: tf.TensorSpec([None, *spec.shape[1:]], spec.dtype) for name, spec in specs.items()}]
  # Nothing in it is Python control flow on tensors.
  return tf.function(function, input_signature=signature if known else None, autograph=False, reduce_retracing=True)
