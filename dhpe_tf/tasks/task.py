"""The interface of a task: inputs, outputs, measures, pictures and serving.

Training, evaluation, inference, serving and the tools for records use tasks through this interface only, so a new task
needs a class and no change to them. A method (methods/method.py) answers a task; a task can have several methods.

The steps of a task and the members that serve them:

  record         `record`, `after_parsing`     fields and statistics of a record on disk
    -> instance  `instance`, `batch`           one row of a batch, by the names of the batch contract
    -> outputs   `outputs`, `served`           a method's answer, by the names of the output contract
    -> numbers   `predictions`, `measure`      measures and curves by protocol
    -> pictures  `draw_instance`, `draw_outputs`
  file           `read_request`, `inputs`      input of predict
    -> result    `result`, `write_result`      output of predict
  video          `open_clip`                   the same for the frames of a video, see `clips`
"""
import abc
import json
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Optional, Protocol

import numpy as np
import tensorflow as tf
from absl import flags

from dhpe_tf.data import image_files
from dhpe_tf.data.checks import Check, SetCheck
from dhpe_tf.data.contract import Contract
from dhpe_tf.data.tfrecords import RecordType
from dhpe_tf.errors import UserError
from dhpe_tf.files import atomic_path
from dhpe_tf.tasks.clips import Clip, PictureClip
from dhpe_tf.tasks.measured import Column, Measured, Published
from dhpe_tf.visualization import curves, pictures

Tensors = dict[str, tf.Tensor]
Arrays = Mapping[str, np.ndarray]


class Signature(NamedTuple):
  """A function of a SavedModel and the specifications of its arguments by name.

  Attributes:
    function: takes the arguments by name; the exporter checks them by `specs`, see `serving.limits`.
    specs: of the arguments.
    rows: the arguments with one row for each instance along axis 0, of which there must be equally many.
    least_rows: of these.
    about_inputs: meaning, unit and axes of the arguments, by name, for the model card; those that it leaves out mean
      what the task's contract says.
    about_outputs: the same of the results.
    examples: values of arguments for one instance, without the axis of rows, where zeros would be refused; for requests
      that warm up a server.
    may_be_infinite: the arguments whose numbers may be NaN or infinite, because the function judges them row by row.
  """

  function: Callable[..., Tensors]
  specs: dict[str, tf.TensorSpec]
  rows: Sequence[str] = ()
  least_rows: int = 1
  about_inputs: Mapping[str, str] = types.MappingProxyType({})
  about_outputs: Mapping[str, str] = types.MappingProxyType({})
  examples: Mapping[str, Any] = types.MappingProxyType({})
  may_be_infinite: Sequence[str] = ()


class QuickNetwork(Protocol):
  """A network of pictures that runs outside of TensorFlow's graphs, without gradients."""

  def __call__(self, images: tf.Tensor) -> Tensors:
    """The outputs by name for pictures [B, S, S, 3], in graphs too."""

  def answer(self, images: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
    """The same for B arrays, with no step of TensorFlow."""


class Surface(NamedTuple):
  """Meshes for TensorBoard's viewer: vertices `[B, V, 3]` (y up, z toward the viewer) and faces `[F, 3]`."""

  vertices: tf.Tensor
  faces: np.ndarray


class Task(abc.ABC):
  """A problem that methods answer.

  Attributes:
    name: short name for reports and model cards.
    record: fields and statistics of a record.
    batch: contract of a batch.
    outputs: contract of a method's outputs; entries that are not optional are required.
    labels: names of the batch that measuring needs, in addition to the optional entries of the batch.
    protocols: names of the protocols, the default one first.
    columns: the measures of the default protocol that appear in short tables.
    curve_axes: axes of the curves of all protocols; None if there are no curves.
    about_served: meaning of what `served` adds to the outputs, by name, for the model card.
    only_served: outputs that `served` gives but files for devices do not hold, with the reason, by name.
    card_objects: names of entries of a model card that are JSON objects where they are there.
    lines_over: label of the x axis of `Measured.lines`.
  """

  name: ClassVar[str]
  record: RecordType
  batch: Contract
  outputs: Contract
  labels: Sequence[str] = ()
  protocols: Sequence[str] = ('default',)
  columns: Sequence[Column] = ()
  curve_axes: Optional[curves.Axes] = None
  about_served: Mapping[str, str] = types.MappingProxyType({})
  only_served: Mapping[str, str] = types.MappingProxyType({})
  card_objects: Sequence[str] = ()
  lines_over: ClassVar[str] = ''

  # Records and instances.

  def after_parsing(self, root: str) -> Optional[Callable[[Tensors], Tensors]]:
    """Returns a function that changes each parsed record of the record set `root`, or None for no change."""
    del root
    return None

  @abc.abstractmethod
  def instance(self, record: Tensors, image_size: int, seed: Optional[tf.Tensor]) -> Tensors:
    """Makes one instance of a batch from a parsed record, by the names of the batch contract, without the axis B.

    Args:
      record: tensors by field name.
      image_size: side of the image in pixels, for tasks that have one.
      seed: `[2]` int64 that determines all random choices; None for no augmentation.
    """

  def record_checks(self, about: Optional[dict], options: Any) -> list[Check]:
    """Returns checks of a record set for `data_tools.validate`.

    Args:
      about: content of dataset.json, or None if there is none.
      options: parsed flags of `define_flags('validate', ...)`.
    """
    del about, options
    return []

  def set_checks(self, about: Optional[dict], place: str) -> list[SetCheck]:
    """Returns checks of splits against each other for `data_tools.validate`.

    Args:
      about: content of dataset.json, or None if there is none.
      place: its path, for errors.
    """
    del about, place
    return []

  # Measures.

  def predictions(self, outputs: Tensors, batch: Tensors) -> Arrays:
    """Converts the outputs for a batch to the arrays `[B, ...]` that `measure` compares."""
    del batch
    return {name: np.asarray(value) for name, value in outputs.items()}

  def ensemble(self, predictions: Sequence[Arrays]) -> Arrays:
    """Returns the mean of several methods' predictions for the same instances, for the names that all of them give."""
    names = [name for name in predictions[0] if all(name in found for found in predictions)]
    return {name: np.mean([found[name] for found in predictions], axis=0) for name in names}

  @abc.abstractmethod
  def measure(self, protocol: str, predictions: Arrays, labels: Arrays, options: Any = None) -> Measured:
    """Compares predictions with labels.

    Args:
      protocol: one of `protocols`.
      predictions: of N instances, see `predictions`.
      labels: of the same instances: the names in `labels`, and the optional entries of the batch that are present.
      options: parsed flags of `define_flags('evaluate', ...)`; None for their defaults.

    Returns:
      Measures and curves; none where nothing is labelled.

    Raises:
      UserError: an unknown protocol, or one that these data do not allow.
    """

  def describe_protocol(self, protocol: str) -> str:
    """Returns the origin of a protocol and its departures from that, in a sentence."""
    del protocol
    return ''

  def published(self, protocol: str) -> tuple[Sequence[Published], Optional[tuple[float, float]]]:
    """Returns published areas under the curve and the range of x that they cover, or () and None."""
    del protocol
    return (), None

  def slices(self, labels: Arrays, training: Arrays) -> dict[str, np.ndarray]:
    """Sorts instances by kind.

    Args:
      labels: of N instances.
      training: labels of the instances that the method has seen; empty if unknown.

    Returns:
      criterion -> kind `[N]` of each instance, '' where the labels do not determine it.
    """
    del labels, training
    return {}

  def slice_definitions(self) -> dict[str, str]:
    """Returns the definition of each criterion of `slices`, a sentence each."""
    return {}

  def constant_answers(self, training: Arrays, count: int) -> dict[str, Arrays]:
    """Returns predictions that ignore the input, such as the mean of the labels, for comparison.

    Args:
      training: labels of training instances.
      count: number of instances to answer.
    """
    del training, count
    return {}

  # Pictures.

  @abc.abstractmethod
  def draw_instance(self, instance: Arrays) -> np.ndarray:
    """Draws one instance of a batch with its labels, uint8 `[H, W, 3]`; all instances have one size."""

  def caption(self, instance: Arrays) -> str:
    """Returns a few words to print above an instance in a sheet."""
    del instance
    return ''

  @abc.abstractmethod
  def draw_outputs(self, inputs: Arrays, outputs: Arrays, card: Mapping[str, Any]) -> np.ndarray:
    """Draws the answer for one instance, uint8 `[H, W, 3]`.

    Args:
      inputs: the method's inputs for the instance.
      outputs: its outputs.
      card: of `describe`.
    """

  def surface(self, outputs: Tensors, card: Mapping[str, Any]) -> Optional[Surface]:
    """Returns the meshes in a batch of outputs, or None."""
    del outputs, card
    return None

  # Files in, files out.

  def define_flags(self, command: str, values: flags.FlagValues) -> None:
    """Defines this task's flags for 'predict', 'evaluate' or 'validate'."""
    del command, values

  def check_options(self, options: Any) -> None:
    """Checks the flags of 'predict' before anything is loaded; raises a UserError if they do not fit together."""
    del options

  def read_request(self, path: str, options: Any, card: Mapping[str, Any]) -> Any:
    """Reads an input file of `predict`; by default a picture, RGB uint8 `[H, W, 3]`.

    Args:
      path: the file.
      options: parsed flags of `define_flags('predict', ...)`.
      card: of the method, see `Predictor.card`.

    Raises:
      UserError: the file is not usable.
    """
    del options, card
    return image_files.read_image(path)

  def inputs(self, request: Any, specs: Mapping[str, tf.TensorSpec]) -> Tensors:
    """Makes a method's inputs for a request, a batch; by default the whole picture as 'image'.

    Args:
      request: of `read_request`.
      specs: specifications of the inputs that the method takes.

    Raises:
      UserError: an input cannot be made from the request.
    """
    unknown = sorted(set(specs) - {'image'})
    if unknown:
      raise UserError(f'a picture alone does not give {", ".join(unknown)}, which this method takes')
    size = specs['image'].shape[1:3]
    return {'image': tf.image.resize(request[None], size, antialias=True) / 255.}

  def evidence(self, outputs: Tensors, names: Sequence[str]) -> Tensors:
    """Makes the inputs of one method from the outputs of another.

    Args:
      outputs: of the other method.
      names: of the inputs.

    Raises:
      UserError: the outputs do not give one of `names`.
    """
    missing = [name for name in names if name not in outputs]
    if missing:
      raise UserError(f'the model that gives the evidence has no output {", ".join(missing)}')
    return {name: outputs[name] for name in names}

  def result(self, request: Any, outputs: Tensors, card: Mapping[str, Any]) -> Any:
    """Returns the content for `write_result`: by default the outputs for the first instance, by name."""
    del request, card
    return {name: np.asarray(value[0]) for name, value in outputs.items()}

  def summarise(self, result: Any) -> str:
    """Returns one line about a result for the terminal, or '' for none."""
    del result
    return ''

  def write_result(self, request: Any, result: Any, stem: str, card: Mapping[str, Any]) -> list[str]:
    """Writes `<stem>.json` and the picture `<stem>_overlay.png`; returns their paths.

    Raises:
      UserError: a file cannot be written.
    """
    shown = {'image': pictures.to_floats(request)} if isinstance(request, np.ndarray) else {}
    pictures.write_png(f'{stem}_overlay.png', self.draw_outputs(shown, result, card))
    write_json(f'{stem}.json', {name: np.asarray(value).tolist() for name, value in result.items()})
    return [f'{stem}_overlay.png', f'{stem}.json']

  def open_clip(self, name: str, options: Any, card: Mapping[str, Any]) -> Clip:
    """Returns what takes the frames of one video in `predict`; by default each is a picture by itself.

    Args:
      name: of the video, for messages.
      options: parsed flags of `define_flags('predict', ...)`.
      card: of the method, see `Predictor.card`.

    Raises:
      UserError: flags that do not fit a video.
    """
    del name, options
    return PictureClip(self, card)

  def prepare(self, card: Mapping[str, Any]) -> None:
    """Makes instances fit a method with this model card from now on, before records are read; here nothing to do."""
    del card

  def adopt(self, functions: Mapping[str, Callable[..., Tensors]]) -> None:
    """Takes functions that an exported model brings for this task, by the names of its signatures; here none."""
    del functions

  def quicker(self, functions: Mapping[str, Callable[..., Tensors]], specs: Mapping[str, Mapping[str, tf.TensorSpec]],
              networks: Mapping[str, QuickNetwork],
              settings: Mapping[str, Any]) -> Optional[Callable[[Tensors, int], Tensors]]:
    """Puts the networks of TensorFlow Lite of an exported model in the place of those in its graph; here it cannot.

    Args:
      functions: of the exported model, by the names of its signatures.
      specs: of their inputs, by the names of signature and input.
      networks: by the names that the method gave them.
      settings: that the method gave.

    Returns:
      (inputs, steps of refinement) -> outputs as `served` leaves them, or None if these networks cannot give that.
    """
    del functions, specs, networks, settings
    return None

  # Serving.

  def describe(self) -> dict[str, Any]:
    """Returns what users of an exported model must know, in a form that JSON can hold, for the model card."""
    return {}

  def served(self, outputs: Tensors) -> Tensors:
    """Selects the outputs of a method that an exported model gives."""
    return {name: outputs[name] for name in self.outputs if name in outputs}

  def encoded_signatures(self, answer: Callable[[Tensors], Tensors],
                         specs: Mapping[str, tf.TensorSpec]) -> dict[str, Signature]:
    """Builds the signatures of an exported model from encoded pictures to results, by name; here none.

    Args:
      answer: a method's inputs -> outputs selected by `served`.
      specs: specifications of the inputs that the method takes.
    """
    del answer, specs
    return {}

  def signatures(self, specs: Mapping[str, tf.TensorSpec]) -> dict[str, Signature]:
    """Builds the signatures of an exported model that need no method, by name; here none.

    Args:
      specs: specifications of the inputs that the exported method takes.
    """
    del specs
    return {}


def write_json(path: str, content: Any) -> None:
  """Writes a JSON file atomically.

  Raises:
    UserError: it cannot be written.
  """
  with atomic_path(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
    json.dump(content, file)
