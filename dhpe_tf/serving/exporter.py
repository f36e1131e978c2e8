"""Writes a SavedModel that runs without this package: stock TensorFlow operations, named signatures, a model card."""
import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.files import atomic_path
from dhpe_tf.methods.method import Method
from dhpe_tf.serving import devices, limits, lite, warm_up
from dhpe_tf.serving.model_card import USAGE
from dhpe_tf.serving.versions import next_version
from dhpe_tf.tasks.task import Signature, Tensors

CARD = os.path.join('assets.extra', 'model_card.json')
PARITY_TOLERANCE = 1e-4
LITE_TOLERANCE = 1e-3  # of networks of TensorFlow Lite, relative to the largest number of an output or to 1
# Name of an input in a signature, where it differs from the name in the batch.
_SERVED_NAMES = {'image': 'images'}
_ENCODED = 'predict_encoded'
_UNKNOWN_SIZE = 8  # size of random inputs along axes of unknown size


def served_name(name: str) -> str:
  """Returns the name of a method's input in a signature."""
  return _SERVED_NAMES.get(name, name)


def batch_name(name: str) -> str:
  """Returns the name in the batch of a signature's input; the inverse of `served_name`."""
  return next((inner for inner, served in _SERVED_NAMES.items() if served == name), name)


class ServedModel(tf.Module):
  """The functions of the SavedModel."""

  def __init__(self, method: Method):
    """Wraps a method.

    Args:
      method: to be exported.
    """
    super().__init__()
    self._method = _Hidden(method)
    # All signatures call this one function, so the file holds its graph and constants only once. As an attribute of its
    # own it would be stored, and traced, once more.
    self._served = _Hidden(tf.function(self._run, autograph=False))
    self._specs = {served_name(name): tf.TensorSpec([None, *spec.shape[1:]], spec.dtype, served_name(name))
                   for name, spec in method.input_specs.items()}

  def _run(self, **inputs: tf.Tensor) -> Tensors:
    """Answers inputs by served names with the outputs that the task serves."""
    method = self._method.held
    return method.task.served(method.answer({batch_name(name): value for name, value in inputs.items()}))

  def signatures(self) -> dict[str, Any]:
    """Builds the concrete functions of all signatures, by name."""
    method = self._method.held
    found = {'serving_default': _concrete(Signature(self._served.held, self._specs, tuple(self._specs)))}

    def answer(inputs: Tensors) -> Tensors:
      return self._served.held(**{served_name(name): value for name, value in inputs.items()})

    task = method.task
    own = method.signatures()
    # The task's signatures of encoded pictures may bring networks, which a method that has its own does not need.
    encoded = {} if _ENCODED in own else task.encoded_signatures(answer, method.input_specs)
    further = {**task.signatures(method.input_specs), **encoded, **own}
    found.update({name: _concrete(signature) for name, signature in further.items()})
    self._about = {name: (signature.about_inputs, signature.about_outputs) for name, signature in further.items()}
    self.requests = _Hidden(
        [('serving_default', warm_up.inputs(self._specs, tuple(self._specs), {})),
         *((name, warm_up.inputs(signature.specs, signature.rows, signature.examples))
           for name, signature in further.items())])
    # Only the variables are stored: the functions need them, but not the Keras objects.
    self._variables = list({id(variable): variable for function in found.values()
                            for variable in function.variables}.values())
    return found

  def describe(self, functions: Mapping[str, Any]) -> dict[str, dict]:
    """Describes the functions of `signatures`, by name: dtype, shape and meaning of inputs and outputs."""
    task = self._method.held.task
    batch = {served_name(name): entry.about for name, entry in task.batch.items()}
    outputs = {**{name: entry.about for name, entry in task.outputs.items()}, **task.about_served}
    described = {}
    for name, function in functions.items():
      about_inputs, about_outputs = self._about.get(name, ({}, {}))
      described[name] = describe_signature(function, {**batch, **about_inputs}, {**outputs, **about_outputs})
    return described


class _Hidden:
  """Holds an object that tf.Module must not track."""

  def __init__(self, held: Any):
    self.held = held


def _concrete(signature: Signature) -> Any:
  """Builds the concrete function of a signature; its arguments are named as in the specifications."""
  specs = {name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in signature.specs.items()}

  def run(**inputs: tf.Tensor) -> Tensors:
    checked = limits.checked_inputs(inputs, specs, signature.rows, signature.least_rows,
                                    may_be_infinite=signature.may_be_infinite)
    return limits.checked_outputs(signature.function(**checked))

  # AutoGraph has nothing to convert, and trying would take most of the time of an export.
  return tf.function(run, autograph=False).get_concrete_function(**specs)


def export(method: Method, export_dir: str, card: dict[str, Any], version: Optional[int] = None,
           formats: Sequence[str] = (), weights: Optional[str] = None) -> str:
  """Writes `export_dir/<version>/` and checks that it computes the same as the method.

  Args:
    method: to be exported.
    export_dir: folder of this model's versions.
    card: result of `model_card.describe`; the signatures and the result of the check are added.
    version: number of the version; None for the next free one.
    formats: further ones, see `devices.FORMATS`.
    weights: type in which weights rest, see `Method.before_export`; the check compares with the model after that.

  Returns:
    The folder of the version, which appears only when it is complete and checked.

  Raises:
    UserError: the folder cannot be written, the version exists, or the check failed.
  """
  version = version or next_version(export_dir)
  folder = os.path.join(export_dir, str(version))
  if os.path.exists(folder):
    raise UserError(f'{folder} is there already; remove it or choose another version.')
  method.before_export(weights)
  served = ServedModel(method)
  signatures = served.signatures()
  with atomic_path(folder) as temporary:
    try:
      tf.saved_model.save(served, temporary, signatures=signatures)
    except tf.errors.OpError as error:
      raise UserError(f'cannot write {folder}: {error.message}; free some disk space.') from error
    difference = measure_parity(signatures['serving_default'], temporary)
    if not difference <= PARITY_TOLERANCE:
      raise UserError(f'{folder} is not written: its results differ from those of the model by {difference:.2g}.')
    card = {**card, USAGE: dict(method.usage), 'version': version,
            'created': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
            'signatures': served.describe(signatures),
            'parity': {'max_abs_difference': difference, 'inputs': 'random, 2'}}
    os.makedirs(os.path.dirname(os.path.join(temporary, CARD)), exist_ok=True)
    _write_warm_up(os.path.join(temporary, warm_up.FILE), card.get('name', ''), signatures, served.requests.held)
    card.update(_write_lite(method, temporary))
    described = devices.write(method, os.path.dirname(os.path.join(temporary, CARD)), formats, signatures)
    if described:
      card['devices'] = described
    with open(os.path.join(temporary, CARD), 'w', encoding='utf-8') as file:
      json.dump(card, file, indent=1)
  return folder


def _write_warm_up(path: str, model: str, functions: Mapping[str, Any], requests: warm_up.Requests) -> None:
  """Writes the warm-up requests, after each was answered here: a server would not load a version that refuses one."""
  for signature, given in requests:
    functions[signature](**{name: tf.constant(value) for name, value in given.items()})
  warm_up.write(path, model, requests)


def _write_lite(method: Method, folder: str) -> dict[str, Any]:
  """Writes a method's networks for TensorFlow Lite beside the model card; returns the card's entry `lite`, if any.

  Raises:
    UserError: a converted network answers otherwise than the network itself.
  """
  parts = method.lite_parts()
  if parts is None:
    return {}
  described = {}
  for name, model in parts.networks.items():
    content = lite.convert(model)
    difference = _lite_difference(model, lite.LiteNetwork(content, name))
    if not difference <= LITE_TOLERANCE:
      raise UserError(f'{folder} is not written: {name} by TensorFlow Lite differs from the network by '
                      f'{difference:.2g}.')
    file_name = os.path.join(os.path.dirname(CARD), f'{name}.tflite')
    with open(os.path.join(folder, file_name), 'wb') as file:
      file.write(content)
    described[name] = {'file': file_name, 'sha256': hashlib.sha256(content).hexdigest(),
                       'max_relative_difference': difference}
  return {'lite': {'networks': described, 'settings': dict(parts.settings)}}


def _lite_difference(model: tf.keras.Model, converted: lite.LiteNetwork) -> float:
  """The largest difference over all outputs for a random picture, relative to the largest number of the output or 1."""
  images = tf.constant(np.random.RandomState(0).uniform(size=[1, *model.input.shape[1:]]), tf.float32)
  return devices.difference(model(images), converted(images))


def measure_parity(function: Any, folder: str) -> float:
  """Returns the largest absolute difference between a SavedModel and `function`, over all outputs.

  Args:
    function: the concrete function 'serving_default' of the model in memory.
    folder: of the SavedModel; both get the same two random inputs, uniform in 0..1.
  """
  random = np.random.RandomState(0)
  inputs = {name: tf.constant(random.uniform(size=[2, *(size or _UNKNOWN_SIZE for size in spec.shape[1:])]), spec.dtype)
            for name, spec in function.structured_input_signature[1].items()}
  expected = function(**inputs)
  found = tf.saved_model.load(folder).signatures['serving_default'](**inputs)
  # Unlike max, np.max keeps a NaN.
  return float(np.max([np.abs(found[name] - expected[name]).max() for name in expected]))


def describe_signature(function: Any, about_inputs: Mapping[str, str],
                       about_outputs: Mapping[str, str]) -> dict[str, dict]:
  """Returns dtype, shape and meaning of a signature's inputs and outputs, by name.

  Args:
    function: the concrete function.
    about_inputs: meaning, unit and axes of inputs by name; may hold more and less names than the function.
    about_outputs: the same of its outputs.
  """
  def describe(specs, about):
    return {name: {'dtype': spec.dtype.name, 'shape': spec.shape.as_list(), 'about': about.get(name, '')}
            for name, spec in specs.items()}
  inputs = {spec.name: spec for spec in tf.nest.flatten(function.structured_input_signature)}
  return {'inputs': describe(inputs, about_inputs), 'outputs': describe(function.structured_outputs, about_outputs)}
