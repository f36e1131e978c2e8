"""One interface to a model in training and to an exported one."""
import json
import os
from collections.abc import Callable
from typing import Any, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons
from dhpe_tf.hand.hand_model import HandModel
from dhpe_tf.serving import results
from dhpe_tf.serving.exporter import CARD, ServedModel, list_versions


class Predictor(NamedTuple):
  """A model ready for use.

  Attributes:
    run: crops of right hands [B, S, S, 3] in 0..1 -> dict of outputs, see `exporter.SERVED`, and 'score'.
    image_size: S.
    faces: [F, 3] of the mesh.
    joint_order: names of the keypoints.
    refine: like run, with a number of refinement steps; None if the model cannot be refined.
  """

  run: Callable[[tf.Tensor], dict[str, tf.Tensor]]
  image_size: int
  faces: np.ndarray
  joint_order: list[str]
  refine: Optional[Callable[[tf.Tensor, int], dict[str, tf.Tensor]]] = None


def from_model(model: tf.keras.Model, hand_model: HandModel,
               refine: Optional[Callable[..., dict[str, tf.Tensor]]] = None) -> Predictor:
  """Wraps a Keras model; `refine` is the function that a SavedModel has as its signature of that name."""
  served = ServedModel(model)
  return Predictor(tf.function(served.run), served.image_size, hand_model.faces, list(skeletons.KEYPOINT_NAMES),
                   refine and _with_nothing_known(refine))


def find_export(path: str) -> str:
  """The newest version's folder if `path` is an export or one of its versions; else empty."""
  versions = [os.path.join(path, str(version)) for version in list_versions(path)]
  found = [folder for folder in [path, *versions] if os.path.isfile(os.path.join(folder, 'saved_model.pb'))]
  return found[-1] if found else ''


def from_export(folder: str) -> Predictor:
  """Loads a version of an exported model.

  Raises:
    UserError: its files are damaged or incomplete.
  """
  card = read_card(folder)
  try:
    loaded = tf.saved_model.load(folder)
    signature = loaded.signatures['serving_default']
    size = card['signatures']['serving_default']['inputs']['images']['shape'][1]
    faces = np.array(card['hand_model']['faces'], np.int32)
    # Loaded functions keep no reference to their variables' owner; the closure does.
    refine = loaded.signatures['refine'] if 'refine' in loaded.signatures else None
    return Predictor(lambda images: signature(images=images), size, faces, card['joint_order'],
                     refine and _with_nothing_known(refine))
  except (OSError, KeyError, ValueError, tf.errors.OpError) as error:
    raise UserError(f'{folder}: not a complete export ({error}); export the model again.') from error


def _with_nothing_known(refine: Callable[..., dict]) -> Callable[[tf.Tensor, int], dict[str, tf.Tensor]]:
  """The signature `refine` as a function of images and steps: no known joints, no known mask."""
  def run(images: tf.Tensor, steps: int) -> dict[str, tf.Tensor]:
    count, size = images.shape[0], images.shape[1]
    joints = len(skeletons.KEYPOINT_NAMES)
    return results.add_score(refine(
        images=images, steps=tf.constant(steps), joints_2d=tf.zeros([count, joints, 2]),
        joints_2d_weight=tf.zeros([count, joints]), mask=tf.zeros([count, size, size]), mask_weight=tf.zeros([count])))
  return run


def read_card(folder: str) -> dict[str, Any]:
  """The model card of an exported version.

  Raises:
    UserError: it is missing or damaged.
  """
  path = os.path.join(folder, CARD)
  try:
    with open(path, encoding='utf-8') as file:
      return json.load(file)
  except (OSError, ValueError) as error:
    raise UserError(f'{path}: cannot be read ({error}); export the model again.') from error
