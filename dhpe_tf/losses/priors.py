"""Losses on the hand's parameters and vertices: priors on shape and pose, and errors where the truth is known."""
from typing import Optional

import gin
import tensorflow as tf

from dhpe_tf.hand import anatomy
from dhpe_tf.hand.hand_model import HandModel
from dhpe_tf.losses import reductions


@gin.configurable(module='losses')
def shape_prior(shape: tf.Tensor, reduction: str = 'mean') -> tf.Tensor:
  """Squared shape coefficients, ||beta||^2: `[B]` of `[B, 10]`, in standard deviations of the hand model's shapes."""
  return reductions.reduce(tf.square(shape), None, reduction)


@gin.configurable(module='losses', denylist=['hand_model'])
def joint_limits(pose: tf.Tensor, hand_model: Optional[HandModel] = None) -> tf.Tensor:
  """How far poses lie outside the limits of the joints: the summed squared excess of their angles, radians squared.

    sum_i (max(low_i - angle_i, 0) + max(angle_i - high_i, 0))^2 over the 45 angles (`anatomy.limit_penalty`).

  Args:
    pose: `[B, 45]` axis-angle about the flat hand.
    hand_model: whose axes to measure about; the built-in hand by default.

  Returns:
    `[B]`, zero inside the limits.
  """
  return anatomy.limit_penalty(pose, hand_model)


@gin.configurable(module='losses')
def parameter_loss(parameters: tf.Tensor, target: tf.Tensor, weights: Optional[tf.Tensor] = None,
                   reduction: str = 'mean') -> tf.Tensor:
  """Squared error of pose or shape, for data whose parameters are known.

  Args:
    parameters: pose `[B, 45]`, radians, or shape `[B, 10]`.
    target: the same of the true hand.
    weights: `[B]`; None weighs all by 1.
    reduction: over the parameters.

  Returns:
    `[B]`.
  """
  return reductions.instance_squared_error(parameters, target, weights, reduction)


@gin.configurable(module='losses')
def vertex_loss(vertices: tf.Tensor, target: tf.Tensor, weights: tf.Tensor, reduction: str = 'mean') -> tf.Tensor:
  """Squared error of the vertices, for data whose meshes are known.

  Args:
    vertices: `[B, V, 3]`.
    target: `[B, V, 3]` in the same frame.
    weights: `[B]` by instance or `[B, V]` by vertex.
    reduction: over vertices and coordinates.

  Returns:
    `[B]`.
  """
  if weights.shape.rank == 1:
    return reductions.instance_squared_error(vertices, target, weights, reduction)
  return reductions.squared_error(vertices, target, weights[..., None], reduction)
