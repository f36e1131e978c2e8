"""Writing a SavedModel that needs none of this package: stock TensorFlow operations, two signatures, a model card."""
import functools
import json
import os
import time
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.files import atomic_path
from dhpe_tf.geometry import crops
from dhpe_tf.serving import results

CARD = os.path.join('assets.extra', 'model_card.json')
# Outputs of a model that are served; others (stages, rounds, features) are for training.
SERVED = ('vertices', 'joints_2d', 'joints_3d', 'mask', 'heatmaps', 'parameters', 'pose', 'shape', 'camera')
PARITY_TOLERANCE = 1e-4


class ServedModel(tf.Module):
  """The functions of the SavedModel.

  Attributes:
    image_size: side of the crops in pixels.
    run: right-handed crops `[B, S, S, 3]` in 0..1 -> named outputs.
  """

  def __init__(self, model: tf.keras.Model):
    super().__init__()
    self.image_size = model.inputs[0].shape[1]
    # The Keras objects stay out of the file; the functions below need the variables only.
    self._variables = list(model.variables)
    # Both signatures call this one function, so that the file holds its graph and its constants once.
    self.run = tf.function(
        functools.partial(self._run, model), autograph=False,
        input_signature=[tf.TensorSpec([None, self.image_size, self.image_size, 3], tf.float32, 'images')])

  @staticmethod
  def _run(model: tf.keras.Model, images: tf.Tensor) -> dict[str, tf.Tensor]:
    """Right-handed crops `[B, S, S, 3]` in 0..1 -> named outputs."""
    outputs = model(images, training=False)
    return results.add_score({name: tf.cast(outputs[name], tf.float32) for name in SERVED if name in outputs})

  def run_encoded(self, images: tf.Tensor, boxes: tf.Tensor, is_left: tf.Tensor) -> dict[str, tf.Tensor]:
    """Encoded pictures `[B]`, boxes `[B, 4]` and sides `[B]` -> results in the pictures' pixels."""
    size = self.image_size

    def cut(inputs):
      picture = tf.io.decode_image(inputs[0], channels=3, expand_animations=False)
      picture.set_shape([None, None, 3])
      height, width = tf.unstack(tf.cast(tf.shape(picture)[:2], tf.float32))
      box = tf.where(tf.reduce_all(inputs[1][2:] > 0.), inputs[1], tf.stack([0., 0., width, height]))
      return crops.extract(picture, crops.crop_from_box(box), size), box

    crop_images, boxes = tf.map_fn(cut, (images, boxes), fn_output_signature=(
        tf.TensorSpec([size, size, 3], tf.float32), tf.TensorSpec([4], tf.float32)))
    outputs = self.run(results.mirror_left(crop_images, is_left))
    return {**results.in_picture(outputs, crops.crop_from_box(boxes), is_left), 'boxes': boxes}

  def signatures(self) -> dict[str, Any]:
    """The signatures by name."""
    return {
        'serving_default': self.run.get_concrete_function(),
        'predict_encoded': tf.function(self.run_encoded, autograph=False).get_concrete_function(
            images=tf.TensorSpec([None], tf.string, 'images'), boxes=tf.TensorSpec([None, 4], tf.float32, 'boxes'),
            is_left=tf.TensorSpec([None], tf.bool, 'is_left'))}


def export(model: tf.keras.Model, export_dir: str, card: dict[str, Any], version: Optional[int] = None,
           further_signatures: Optional[dict[str, Any]] = None) -> str:
  """Writes `export_dir/<version>/` and checks that it computes what `model` does.

  Args:
    model: takes images [B, S, S, 3] in 0..1, returns a dict with at least the outputs that `results.in_picture` needs.
    export_dir: folder of this model's versions.
    card: of `model_card.describe`; the signatures and the outcome of the check are added.
    version: number of the version; None for the next free one.
    further_signatures: concrete functions on the model's variables, by name.

  Returns:
    The folder of the version, which appears only when it is whole and checked.

  Raises:
    UserError: it cannot be written, that version is there already, or the check failed.
  """
  version = version or next_version(export_dir)
  folder = os.path.join(export_dir, str(version))
  if os.path.exists(folder):
    raise UserError(f'{folder} is there already; remove it or choose another version.')
  served = ServedModel(model)
  signatures = {**served.signatures(), **(further_signatures or {})}
  with atomic_path(folder) as temporary:
    try:
      tf.saved_model.save(served, temporary, signatures=signatures)
    except tf.errors.OpError as error:
      raise UserError(f'cannot write {folder}: {error.message}; free some disk space.') from error
    difference = measure_parity(served, temporary)
    if not difference <= PARITY_TOLERANCE:
      raise UserError(f'{folder} is not written: its results differ from those of the model by {difference:.2g}.')
    card = {**card, 'version': version, 'created': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
            'signatures': {name: describe_signature(function) for name, function in signatures.items()},
            'parity': {'max_abs_difference': difference, 'images': 'random, 2'}}
    os.makedirs(os.path.dirname(os.path.join(temporary, CARD)), exist_ok=True)
    with open(os.path.join(temporary, CARD), 'w', encoding='utf-8') as file:
      json.dump(card, file, indent=1)
  return folder


def next_version(export_dir: str) -> int:
  """One more than the highest version in `export_dir`; 1 if there is none."""
  return max(list_versions(export_dir), default=0) + 1


def list_versions(export_dir: str) -> list[int]:
  """The versions in `export_dir`, ascending."""
  names = os.listdir(export_dir) if os.path.isdir(export_dir) else []
  return sorted(int(name) for name in names if name.isdigit())


def measure_parity(served: ServedModel, folder: str) -> float:
  """Largest difference between the SavedModel in `folder` and `served`, over all outputs for two random images."""
  images = np.random.RandomState(0).uniform(size=[2, served.image_size, served.image_size, 3]).astype(np.float32)
  expected = served.run(tf.constant(images))
  found = tf.saved_model.load(folder).signatures['serving_default'](images=tf.constant(images))
  return max(float(tf.reduce_max(tf.abs(found[name] - expected[name]))) for name in expected)


def describe_signature(function: Any) -> dict[str, dict]:
  """Names, types and shapes of a signature's inputs and outputs."""
  def describe(specs):
    return {spec_name: {'dtype': spec.dtype.name, 'shape': spec.shape.as_list()} for spec_name, spec in specs.items()}
  inputs = {spec.name: spec for spec in tf.nest.flatten(function.structured_input_signature)}
  return {'inputs': describe(inputs), 'outputs': describe(function.structured_outputs)}
