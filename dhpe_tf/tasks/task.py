"""The interface of a task: what goes in, what comes out, how it is measured, drawn and served.

Training, evaluation, inference, serving and the tools for records know tasks by this interface only, so that a new task
needs a class and no change to them. A method (methods/method.py) answers a task; several methods share one.

The way through a task, with what it is asked for at each step:

  record         `record`, `after_parsing`     fields and statistics of what lies on disk
    -> instance  `instance`, `batch`           one row of a batch, by the names of the batch contract
    -> outputs   `outputs`, `served`           what a method may answer, by the names of the output contract
    -> numbers   `predictions`, `measure`      measures and curves by protocol
    -> pictures  `draw_instance`, `draw_outputs`
  file           `read_request`, `inputs`      what predict is given
    -> result    `result`, `write_result`      what it leaves
"""
import abc
import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Optional

import numpy as np
import tensorflow as tf
from absl import flags

from dhpe_tf.data import image_files
from dhpe_tf.data.checks import Check
from dhpe_tf.data.contract import Contract
from dhpe_tf.data.tfrecords import RecordType
from dhpe_tf.errors import UserError
from dhpe_tf.files import atomic_path
from dhpe_tf.tasks.measured import Column, Measured, Published
from dhpe_tf.visualization import curves, pictures

Tensors = dict[str, tf.Tensor]
Arrays = Mapping[str, np.ndarray]


class Signature(NamedTuple):
  """A function of a SavedModel, and the specifications of its arguments by name."""

  function: Callable[..., Tensors]
  specs: dict[str, tf.TensorSpec]


class Surface(NamedTuple):
  """Meshes for TensorBoard's viewer: vertices `[B, V, 3]` (y up, z toward the viewer) and faces `[F, 3]`."""

  vertices: tf.Tensor
  faces: np.ndarray


class Task(abc.ABC):
  """What a method answers.

  Attributes:
    name: short, for reports and model cards.
    record: fields and statistics of a record.
    batch: what a batch holds.
    outputs: what a method may answer; entries that are not optional must be there.
    labels: names of the batch that measuring needs, beside the entries that are optional there.
    protocols: names of the ways to measure, the default one first.
    columns: the measures of the default protocol that stand in short tables.
    curve_axes: what the curves of all protocols are drawn over; None where there are no curves.
  """

  name: ClassVar[str]
  record: RecordType
  batch: Contract
  outputs: Contract
  labels: Sequence[str] = ()
  protocols: Sequence[str] = ('default',)
  columns: Sequence[Column] = ()
  curve_axes: Optional[curves.Axes] = None

  # Records and instances.

  def after_parsing(self, root: str) -> Optional[Callable[[Tensors], Tensors]]:
    """What to change in each parsed record of the record set `root`; None for nothing."""
    del root
    return None

  @abc.abstractmethod
  def instance(self, record: Tensors, image_size: int, seed: Optional[tf.Tensor]) -> Tensors:
    """Makes one instance of a batch from a parsed record, by the names of the batch contract, without the axis B.

    Args:
      record: tensors by field name.
      image_size: side of the image in pixels, for tasks that have one.
      seed: `[2]` int64, of which all that is random is a function; None for no augmentation.
    """

  def record_checks(self, about: Optional[dict], options: Any) -> list[Check]:
    """Checks of a record set for `data_tools.validate`.

    Args:
      about: the content of dataset.json, None where there is none.
      options: parsed flags of `define_flags('validate', ...)`.
    """
    del about, options
    return []

  # Measures.

  def predictions(self, outputs: Tensors, batch: Tensors) -> Arrays:
    """The outputs for a batch as the arrays `[B, ...]` that `measure` compares."""
    del batch
    return {name: np.asarray(value) for name, value in outputs.items()}

  @abc.abstractmethod
  def measure(self, protocol: str, predictions: Arrays, labels: Arrays, options: Any = None) -> Measured:
    """Compares predictions with labels.

    Args:
      protocol: one of `protocols`.
      predictions: of N instances, see `predictions`.
      labels: of the same instances: `labels` and what there is of the batch's optional entries.
      options: parsed flags of `define_flags('evaluate', ...)`; None for their defaults.

    Returns:
      Measures and curves; none where nothing is labelled.

    Raises:
      UserError: an unknown protocol, or one that these data cannot be measured by.
    """

  def describe_protocol(self, protocol: str) -> str:
    """Where a protocol comes from and what it leaves out, in a sentence."""
    del protocol
    return ''

  def published(self, protocol: str) -> tuple[Sequence[Published], Optional[tuple[float, float]]]:
    """Published areas under the curve, and the range of x that they cover."""
    del protocol
    return (), None

  def slices(self, labels: Arrays, training: Arrays) -> dict[str, np.ndarray]:
    """Sorts instances by kind: by criterion the kind `[N]` of each, '' where the labels do not tell.

    Args:
      labels: of N instances.
      training: of the instances that the method has seen; empty where they are not known.
    """
    del labels, training
    return {}

  def slice_definitions(self) -> dict[str, str]:
    """What the criteria of `slices` mean, a sentence each."""
    return {}

  def constant_answers(self, training: Arrays, count: int) -> dict[str, Arrays]:
    """Predictions that ignore the input, such as the mean of the labels, to compare a method with.

    Args:
      training: labels of training instances.
      count: how many instances to answer.
    """
    del training, count
    return {}

  # Pictures.

  @abc.abstractmethod
  def draw_instance(self, instance: Arrays) -> np.ndarray:
    """One instance of a batch with its labels drawn, uint8 `[H, W, 3]`; all instances of one size."""

  def caption(self, instance: Arrays) -> str:
    """A few words above an instance in a sheet."""
    del instance
    return ''

  @abc.abstractmethod
  def draw_outputs(self, inputs: Arrays, outputs: Arrays, card: Mapping[str, Any]) -> np.ndarray:
    """The answer for one instance drawn, uint8 `[H, W, 3]`.

    Args:
      inputs: what the method saw of the instance.
      outputs: its answer.
      card: of `describe`.
    """

  def surface(self, outputs: Tensors, card: Mapping[str, Any]) -> Optional[Surface]:
    """The meshes among a batch of outputs, or None."""
    del outputs, card
    return None

  # Files in, files out.

  def define_flags(self, command: str, values: flags.FlagValues) -> None:
    """Defines this task's own flags of 'predict', 'evaluate' or 'validate'."""
    del command, values

  def check_options(self, options: Any) -> None:
    """Refuses flags of 'predict' that do not fit together, before anything is loaded; raises UserError."""
    del options

  def read_request(self, path: str, options: Any) -> Any:
    """Reads an input file of `predict`; a picture, RGB uint8 `[H, W, 3]`, by default.

    Args:
      path: the file.
      options: parsed flags of `define_flags('predict', ...)`.

    Raises:
      UserError: the file is not usable.
    """
    del options
    return image_files.read_image(path)

  def inputs(self, request: Any, specs: Mapping[str, tf.TensorSpec]) -> Tensors:
    """What a method is given for a request, a batch of one; by default the whole picture as 'image'.

    Args:
      request: of `read_request`.
      specs: the inputs that the method takes.

    Raises:
      UserError: the request holds nothing from which an input could be made.
    """
    unknown = sorted(set(specs) - {'image'})
    if unknown:
      raise UserError(f'a picture alone does not give {", ".join(unknown)}, which this method takes')
    size = specs['image'].shape[1:3]
    return {'image': tf.image.resize(request[None], size, antialias=True) / 255.}

  def evidence(self, outputs: Tensors, names: Sequence[str]) -> Tensors:
    """Inputs of one method made from the outputs of another.

    Raises:
      UserError: the outputs do not give one of `names`.
    """
    missing = [name for name in names if name not in outputs]
    if missing:
      raise UserError(f'the model that gives the evidence has no output {", ".join(missing)}')
    return {name: outputs[name] for name in names}

  def result(self, request: Any, outputs: Tensors, card: Mapping[str, Any]) -> Any:
    """What `write_result` writes: by default the outputs for the first instance, by name."""
    del request, card
    return {name: np.asarray(value[0]) for name, value in outputs.items()}

  def write_result(self, request: Any, result: Any, stem: str, card: Mapping[str, Any]) -> list[str]:
    """Writes `<stem>.json` and a picture, `<stem>_overlay.png`; returns what was written.

    Raises:
      UserError: a file cannot be written.
    """
    shown = {'image': pictures.to_floats(request)} if isinstance(request, np.ndarray) else {}
    pictures.write_png(f'{stem}_overlay.png', self.draw_outputs(shown, result, card))
    write_json(f'{stem}.json', {name: np.asarray(value).tolist() for name, value in result.items()})
    return [f'{stem}_overlay.png', f'{stem}.json']

  # Serving.

  def describe(self) -> dict[str, Any]:
    """What the users of an exported model must know of the task, as JSON can hold it; travels in the model card."""
    return {}

  def served(self, outputs: Tensors) -> Tensors:
    """Those outputs of a method that an exported model gives."""
    return {name: outputs[name] for name in self.outputs if name in outputs}

  def encoded_signature(self, answer: Callable[[Tensors], Tensors],
                        specs: Mapping[str, tf.TensorSpec]) -> Optional[Signature]:
    """The signature `predict_encoded` of an exported model, from encoded pictures to results; None for none.

    Args:
      answer: from a method's inputs to what `served` leaves of its outputs.
      specs: the inputs that the method takes.
    """
    del answer, specs
    return None


def write_json(path: str, content: Any) -> None:
  """Writes a JSON file in one move.

  Raises:
    UserError: it cannot be written.
  """
  with atomic_path(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
    json.dump(content, file)


def stem_of(path: str) -> str:
  """File name of a path without folder and ending."""
  return os.path.splitext(os.path.basename(path))[0]
