"""One interface to everything that answers a task: a method in training, an exported model, a fit, or two in a row."""
import contextlib
import functools
import os
import pathlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Optional

import tensorflow as tf

import dhpe_tf
from dhpe_tf import configuration, experiment, json_files
from dhpe_tf.errors import UserError, naming
from dhpe_tf.inference import lite_networks, saved_models
from dhpe_tf.methods.method import Method
from dhpe_tf.serving import exporter, versions
from dhpe_tf.serving.model_card import USAGE
from dhpe_tf.tasks import registry
from dhpe_tf.tasks.task import Task, Tensors
from dhpe_tf.training.trained import load_trained

_STEPS = 'steps'
_SHIPPED = 'dhpe_hand'
_MOST_CARD_BYTES = 1 << 26  # it holds the faces of the mesh
_REMEDY = 'export the model again.'


class Predictor(NamedTuple):
  """A method that is ready to answer a task.

  Attributes:
    task: the task that it answers.
    input_specs: specifications of its inputs, by the names of the task's batch.
    answer: inputs -> outputs as `Task.served` leaves them.
    card: description of the model (`Task.describe`), with `Method.usage`.
    refined: (inputs, numbers of steps) -> the answers after each number of steps of refinement; 0 gives the plain
      answer. None for methods without refinement.
    is_lite: whether its networks run by TensorFlow Lite, so that graphs hold little work.
  """

  task: Task
  input_specs: dict[str, tf.TensorSpec]
  answer: Callable[[Tensors], Tensors]
  card: Mapping[str, Any]
  refined: Optional[Callable[[Tensors, Sequence[int]], list[Tensors]]] = None
  is_lite: bool = False


def shipped_model() -> str:
  """Returns the folder of the model that the package ships: in the repository, or else in the installed package.

  Raises:
    UserError: it is in neither.
  """
  package = pathlib.Path(dhpe_tf.__file__).parent
  for folder in (package.parent / 'exported' / _SHIPPED, package / 'exported' / _SHIPPED):
    if find_export(str(folder)):
      return str(folder)
  raise UserError(f'no exported/{_SHIPPED} beside {package} nor inside it; install the package again, or give --model.')


def load(path: str, gin_params: Sequence[str] = (), trace: bool = False, lite: bool = False) -> Predictor:
  """Loads a predictor from an export, one of its versions, or the folder of a training.

  Args:
    path: the folder.
    gin_params: bindings that override those of the training; for an export those of what it does not hold, such as
      the tracking of hands.
    trace: whether to build the graph now, while the configuration of the training is loaded; needed if another
      configuration is loaded before the first answer.
    lite: whether to run networks by TensorFlow Lite where an export has them so and there is no GPU.

  Returns:
    The predictor.

  Raises:
    UserError: the folder holds neither, or its files are damaged.
  """
  if not os.path.isdir(path):
    raise UserError(f'{path}: no such folder; give an export or the --model_dir of a training.')
  export = find_export(path)
  if export:
    if gin_params:
      configuration.load(gin_params=gin_params)
    return from_export(export, lite)
  loaded = from_method(load_trained(path, gin_params)[1])
  if trace:
    loaded.answer.get_concrete_function()
  return loaded


def from_configuration() -> Predictor:
  """Builds the method of the loaded gin configuration, for methods that need no training.

  Raises:
    UserError: the method must be trained first.
  """
  built = experiment.Experiment().build_method()
  if isinstance(built, tf.keras.Model):
    raise UserError(f'{type(built).__name__} must be trained first by python -m dhpe_tf.train; then give its folder.')
  return from_method(built)


def from_method(method: Method) -> Predictor:
  """Wraps a method as a predictor."""
  task, specs = method.task, method.input_specs

  def answer(inputs: Tensors) -> Tensors:
    return task.served(method.answer(inputs))

  def refined(inputs: Tensors, steps: Sequence[int]) -> list[Tensors]:
    return [task.served(outputs) for outputs in method.refined(inputs, steps)]

  card = {**task.describe(), USAGE: dict(method.usage)}
  return Predictor(task, specs, _as_graph(answer, specs), card, refined if method.can_refine else None)


def answer_with(predictor: Predictor, inputs: Tensors, steps: int) -> Tensors:
  """The answer after a number of steps of refinement; 0 for the plain one."""
  if not steps:
    return predictor.answer(inputs)
  found, = predictor.refined(inputs, [steps])
  return found


@contextlib.contextmanager
def graphs_as_they_are() -> Iterator[None]:
  """Lets TensorFlow run graphs in the block as they are: to optimize them takes longer than a single answer gains."""
  tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': True})
  try:
    yield
  finally:
    tf.config.optimizer.set_experimental_options({'disable_meta_optimizer': False})


def warm_up(predictor: Predictor, steps: int) -> threading.Thread:
  """Starts to answer zeros in a thread, which it returns: at its first run a graph is optimized, which takes seconds.

  Nothing is done for inputs whose sizes are not known.
  """
  sizes = [[1, *spec.shape[1:]] for spec in predictor.input_specs.values()]

  def run():
    if all(None not in size for size in sizes):
      zeros = [tf.zeros(size, spec.dtype) for size, spec in zip(sizes, predictor.input_specs.values())]
      answer_with(predictor, dict(zip(predictor.input_specs, zeros)), steps)

  thread = threading.Thread(target=run, daemon=True)
  thread.start()
  return thread


def behind(evidence: Predictor, second: Predictor) -> Predictor:
  """Returns a predictor that feeds the answers of `evidence` to `second` as its inputs."""
  def answer(inputs: Tensors) -> Tensors:
    return second.answer(second.task.evidence(evidence.answer(inputs), list(second.input_specs)))
  card = {**second.card, USAGE: evidence.card.get(USAGE, {})}
  return Predictor(second.task, evidence.input_specs, answer, card)


def find_export(path: str) -> str:
  """Returns the folder of an export's newest version, `path` itself if it is a version, or else an empty text."""
  numbered = [os.path.join(path, str(version)) for version in versions.list_versions(path)]
  found = [folder for folder in [path, *numbered] if os.path.isfile(os.path.join(folder, 'saved_model.pb'))]
  return found[-1] if found else ''


def from_export(folder: str, lite: bool = False) -> Predictor:
  """Loads a version of an exported model.

  Args:
    folder: of the version.
    lite: whether to run networks by TensorFlow Lite where the export has them so and there is no GPU.

  Returns:
    The predictor.

  Raises:
    UserError: its files are damaged or incomplete, or its task is unknown.
  """
  card = read_card(folder)
  _task_of(card, folder)  # a damaged card is named before anything is loaded
  loaded = saved_models.load(folder, _REMEDY)
  # What a graph of any content holds is not known.
  with naming(f'{folder}: not a complete export', _REMEDY, Exception):
    specs = {name: signature.structured_input_signature[1] for name, signature in loaded.signatures.items()}
    # The functions refer to `loaded`: loaded signatures hold no reference to the owner of their variables.
    functions = {name: functools.partial(_call, loaded, name) for name in specs}
  plain = from_signatures(functions, specs, card, folder)
  return _by_lite(plain, functions, specs, folder) if lite else plain


def from_signatures(functions: Mapping[str, Callable[..., Tensors]], specs: Mapping[str, Mapping[str, tf.TensorSpec]],
                    card: Mapping[str, Any], name: str) -> Predictor:
  """Makes a predictor of the signatures of an exported model.

  Args:
    functions: the signatures, by name; they take tensors by name.
    specs: specifications of their inputs, by name of the signature and of the input.
    card: the model card.
    name: of the model, for messages.

  Raises:
    UserError: the task is unknown.
  """
  task = _task_of(card, name)()
  task.adopt(functions)

  def answer(inputs: Tensors) -> Tensors:
    return functions['serving_default'](**_by_served_name(inputs))

  def refined(inputs: Tensors, steps: Sequence[int]) -> list[Tensors]:
    return [task.served(_refine_once(functions['refine'], specs['refine'], inputs, number)) for number in steps]

  input_specs = {exporter.batch_name(name): spec for name, spec in specs['serving_default'].items()}
  return Predictor(task, input_specs, answer, card, refined if 'refine' in functions else None)


def _by_lite(plain: Predictor, functions: Mapping[str, Callable[..., Tensors]],
             specs: Mapping[str, Mapping[str, tf.TensorSpec]], folder: str) -> Predictor:
  """The predictor with the networks of TensorFlow Lite of an export, or `plain` if it has none that do."""
  found = lite_networks.read(folder, plain.card)
  quicker = plain.task.quicker(functions, specs, found.networks, found.settings) if found else None
  if quicker is None:
    return plain

  def answer(inputs: Tensors) -> Tensors:
    return quicker(inputs, 0)

  def refined(inputs: Tensors, steps: Sequence[int]) -> list[Tensors]:
    return [quicker(inputs, number) for number in steps]
  return plain._replace(answer=answer, refined=refined, is_lite=True)


def _task_of(card: Mapping[str, Any], folder: str) -> type[Task]:
  """The class of the task that a model card names; a UserError that names the model if the card does not fit it."""
  name = card.get('task_class', registry.DEFAULT)
  if not isinstance(name, str):
    raise UserError(f'{folder}: task_class in {exporter.CARD} must be a text; export the model again.')
  try:
    task_class = registry.find(name)
  except UserError as error:
    raise UserError(f'{folder}: {error}') from error
  for entry in task_class.card_objects:
    if not isinstance(card.get(entry, {}), dict):
      raise UserError(f'{folder}: {entry} in {exporter.CARD} must be an object; export the model again.')
  return task_class


def read_card(folder: str) -> dict[str, Any]:
  """Reads the model card of an exported version.

  Raises:
    UserError: it is missing or damaged.
  """
  path = os.path.join(folder, exporter.CARD)
  card = json_files.read_object(path, _REMEDY, _MOST_CARD_BYTES)
  with naming(f'{folder}: not a complete export, its model card {exporter.CARD} is damaged', _REMEDY, KeyError,
              TypeError, AttributeError):
    card['signatures']['serving_default']['inputs'].items()
    card.get(USAGE, {}).items()
  return card


def _by_served_name(inputs: Tensors) -> Tensors:
  """Inputs by the names that signatures give them."""
  return {exporter.served_name(name): value for name, value in inputs.items()}


def _call(loaded: Any, name: str, **inputs: tf.Tensor) -> Tensors:
  """Calls a signature of a loaded SavedModel."""
  return loaded.signatures[name](**inputs)


def _refine_once(refine: Callable[..., Tensors], specs: Mapping[str, tf.TensorSpec], inputs: Tensors,
                 steps: int) -> Tensors:
  """Calls the signature 'refine' with the inputs and the number of steps, and zeros for its other arguments."""
  given = _by_served_name(inputs)
  count = tf.shape(tf.nest.flatten(inputs)[0])[0]
  for name, spec in specs.items():
    if name == _STEPS:
      given[name] = tf.constant(steps, spec.dtype)
    elif name not in given:
      given[name] = tf.zeros([count if size is None else size for size in spec.shape], spec.dtype)
  return refine(**given)


def _as_graph(function: Callable, specs: Mapping[str, tf.TensorSpec]) -> Callable:
  """Compiles a function of named inputs to a graph; one graph serves any batch size if all other sizes are known."""
  known = all(None not in spec.shape[1:] for spec in specs.values())
  signature = [{name: tf.TensorSpec([None, *spec.shape[1:]], spec.dtype) for name, spec in specs.items()}]
  # AutoGraph has nothing to convert.
  return tf.function(function, input_signature=signature if known else None, autograph=False, reduce_retracing=True)
