"""Writing a SavedModel that needs none of this package: stock TensorFlow operations, named signatures, a model card."""
import json
import os
import time
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.files import atomic_path
from dhpe_tf.methods.method import Method
from dhpe_tf.serving.versions import next_version
from dhpe_tf.tasks.task import Signature, Tensors

CARD = os.path.join('assets.extra', 'model_card.json')
PARITY_TOLERANCE = 1e-4
# What a signature calls an input where that is not its name in the batch.
_SERVED_NAMES = {'image': 'images'}
_UNKNOWN_SIZE = 8  # of random inputs, along axes that may have any size


def served_name(name: str) -> str:
  """What a signature calls an input of a method."""
  return _SERVED_NAMES.get(name, name)


def batch_name(name: str) -> str:
  """The reverse of `served_name`."""
  return next((inner for inner, served in _SERVED_NAMES.items() if served == name), name)


class ServedModel(tf.Module):
  """The functions of the SavedModel.

  Attributes:
    run: inputs by their served names -> named outputs.
  """

  def __init__(self, method: Method):
    super().__init__()
    self._method = _Hidden(method)
    # The Keras objects stay out of the file; the functions below need the variables only.
    self._variables = list(getattr(method, 'variables', ()))
    # All signatures call this one function, so that the file holds its graph and its constants once.
    self.run = tf.function(self._run, autograph=False)
    self._specs = {served_name(name): tf.TensorSpec([None, *spec.shape[1:]], spec.dtype, served_name(name))
                   for name, spec in method.input_specs.items()}

  def _run(self, **inputs: tf.Tensor) -> Tensors:
    method = self._method.held
    return method.task.served(method.answer({batch_name(name): value for name, value in inputs.items()}))

  def signatures(self) -> dict[str, Any]:
    """The concrete functions by name."""
    method = self._method.held
    found = {'serving_default': self.run.get_concrete_function(**self._specs)}

    def answer(inputs: Tensors) -> Tensors:
      return self.run(**{served_name(name): value for name, value in inputs.items()})

    encoded = method.task.encoded_signature(answer, method.input_specs)
    further = {**({'predict_encoded': encoded} if encoded else {}), **method.signatures()}
    return {**found, **{name: _concrete(signature) for name, signature in further.items()}}


class _Hidden:
  """Holds what tf.Module must not look into."""

  def __init__(self, held: Any):
    self.held = held


def _concrete(signature: Signature) -> Any:
  """The concrete function of a signature, its arguments named as in its specifications."""
  specs = {name: tf.TensorSpec(spec.shape, spec.dtype, name) for name, spec in signature.specs.items()}
  # Nothing in it is Python control flow on tensors; converting it would take most of the time of an export.
  return tf.function(lambda **inputs: signature.function(**inputs), autograph=False).get_concrete_function(**specs)


def export(method: Method, export_dir: str, card: dict[str, Any], version: Optional[int] = None) -> str:
  """Writes `export_dir/<version>/` and checks that it computes what the method does.

  Args:
    method: to be exported.
    export_dir: folder of this model's versions.
    card: of `model_card.describe`; the signatures and the outcome of the check are added.
    version: number of the version; None for the next free one.

  Returns:
    The folder of the version, which appears only when it is whole and checked.

  Raises:
    UserError: it cannot be written, that version is there already, or the check failed.
  """
  version = version or next_version(export_dir)
  folder = os.path.join(export_dir, str(version))
  if os.path.exists(folder):
    raise UserError(f'{folder} is there already; remove it or choose another version.')
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
    card = {**card, 'version': version, 'created': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
            'signatures': {name: describe_signature(function) for name, function in signatures.items()},
            'parity': {'max_abs_difference': difference, 'inputs': 'random, 2'}}
    os.makedirs(os.path.dirname(os.path.join(temporary, CARD)), exist_ok=True)
    with open(os.path.join(temporary, CARD), 'w', encoding='utf-8') as file:
      json.dump(card, file, indent=1)
  return folder


def measure_parity(function: Any, folder: str) -> float:
  """Largest difference between the SavedModel in `folder` and `function`, over all outputs for two random inputs."""
  random = np.random.RandomState(0)
  inputs = {name: tf.constant(random.uniform(size=[2, *(size or _UNKNOWN_SIZE for size in spec.shape[1:])]), spec.dtype)
            for name, spec in function.structured_input_signature[1].items()}
  expected = function(**inputs)
  found = tf.saved_model.load(folder).signatures['serving_default'](**inputs)
  return max(float(tf.reduce_max(tf.abs(found[name] - expected[name]))) for name in expected)


def describe_signature(function: Any) -> dict[str, dict]:
  """Names, types and shapes of a signature's inputs and outputs."""
  def describe(specs):
    return {spec_name: {'dtype': spec.dtype.name, 'shape': spec.shape.as_list()} for spec_name, spec in specs.items()}
  inputs = {spec.name: spec for spec in tf.nest.flatten(function.structured_input_signature)}
  return {'inputs': describe(inputs), 'outputs': describe(function.structured_outputs)}
