"""The parts of the estimator that refinement uses, so that the model can use refinement without a circle of imports."""
from collections.abc import Callable
from typing import Any, Optional, Protocol

import tensorflow as tf

from dhpe_tf.hand.hand_model import HandModel


class Estimator(Protocol):
  """A Keras model with the parts that refinement needs; `methods.dhpe.model.DhpeModel` is one.

  Attributes:
    inputs: its Keras inputs, the first one images `[B, S, S, 3]`.
    hand_model: the hand that it poses.
    feature_net: images `[B, S, S, 3]` -> features `[B, F]`.
    pose_refiner: a dict of vectors -> offset of the 2D joints `[B, 42]`, or None.
    to_parameters: the layer between the regressor's sum and the parameters; `invert` leads back.
    hand: parameters `[B, 63]` -> the hand in crop space.
    silhouette: vertices `[B, V, 3]` -> mask `[B, M, M]`.
  """

  inputs: list[tf.Tensor]
  hand_model: HandModel
  feature_net: Callable[..., tf.Tensor]
  pose_refiner: Optional[Callable[[dict[str, tf.Tensor]], tf.Tensor]]
  to_parameters: Any
  hand: Callable[[tf.Tensor], dict[str, tf.Tensor]]
  silhouette: Callable[[tf.Tensor], tf.Tensor]

  def __call__(self, images: tf.Tensor, training: bool) -> dict[str, tf.Tensor]:
    """The estimate by the names of `tasks.hand.outputs.OUTPUTS`."""
