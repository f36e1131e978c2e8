"""Test-time refinement (paper section 3.4): gradient descent on Eq. 13 from the model's estimate, in one graph.

  h <- h - gamma dE(h) / dh,    E of `consistency.Consistency`, h [B, 63].

The paper takes 50 steps; its gamma is not known (`step_sizes`, `optimization.descent`).
"""
from collections.abc import Sequence
from typing import Optional

import gin
import tensorflow as tf

from dhpe_tf.geometry import masks
from dhpe_tf.hand import parameters, skeletons
from dhpe_tf.methods.dhpe.refinement.consistency import TERMS, Consistency, Evidence
from dhpe_tf.methods.dhpe.refinement.estimator import Estimator
from dhpe_tf.optimization import term_weights as term_weights_of
from dhpe_tf.optimization.descent import descend, within_limits
from dhpe_tf.tasks.hand import outputs as hand_outputs
from dhpe_tf.tasks.task import Signature

# Meaning of what goes in and comes out of the signature, for the model card.
_ABOUT_INPUTS = {
    'steps': 'largest number of steps of the descent, from 0',
    'joints_2d': 'known 2D joints, crop space; they take the place of those that the model sees',
    'joints_2d_weight': 'of the known joints, 0 where a joint is not known; in a picture with a known joint only known '
                        'ones count',
    'mask': 'known masks, share of each pixel that the hand covers, 0..1',
    'mask_weight': 'of the known mask, 0 where there is none',
    'term_weights': term_weights_of.about(TERMS) + '. A term that the export leaves out, by default feature, stays out'}
_ABOUT_OUTPUTS = {'objective': 'the objective before each step and after the last',
                  'steps_taken': 'steps until the descent of each picture stopped'}


@gin.configurable(module='refinement')
def step_sizes(pose: float = 0.02, shape: float = 0.05, rotation: float = 0.01, scale: float = 0.1,
               translation: float = 0.01) -> Sequence[float]:
  """The step sizes gamma [63] of the parameters h.

  Args:
    pose: radians.
    shape: standard deviations.
    rotation: of the quaternion's entries.
    scale: crop units per metre.
    translation: crop units.
  """
  sizes = (pose, shape, rotation, scale, translation)
  return [size for size, count in zip(sizes, parameters.SIZES) for _ in range(count)]


def refine(model: Estimator, images: tf.Tensor, steps: tf.Tensor, joints_2d: Optional[tf.Tensor] = None,
           joints_2d_weight: Optional[tf.Tensor] = None, mask: Optional[tf.Tensor] = None,
           mask_weight: Optional[tf.Tensor] = None, factors: Optional[tf.Tensor] = None) -> dict[str, tf.Tensor]:
  """Estimates the hands in images and refines them.

  Args:
    model: a trained estimator.
    images: `[B, S, S, 3]` in 0..1, right hands.
    steps: scalar int32, the largest number of steps; the paper takes 50. 0 gives the plain estimate.
    joints_2d: known 2D joints `[B, 21, 2]` in crop space, or None.
    joints_2d_weight: `[B, 21]`, 0 where a joint is not known; needed with `joints_2d`.
    mask: known masks `[B, S, S]` in 0..1, or None.
    mask_weight: `[B]`, 0 where there is none; needed with `mask`.
    factors: `[7]` of the objective's terms, see `Consistency`, or None.

  Returns:
    The hand by the names of `tasks.hand.outputs`, parameters, mask and heat maps at the best step of each instance;
    objective `[B, steps + 1]`, E before each step and after the last; steps_taken `[B]`.
  """
  outputs = model(images, training=False)
  known_mask = None if mask is None else masks.area_resize(mask, outputs['mask'].shape[1])
  evidence = own_evidence(images, outputs)._replace(
      known_joints_2d=joints_2d, known_joints_weight=joints_2d_weight, known_mask=known_mask,
      known_mask_weight=mask_weight)
  found = descend(Consistency(model, evidence, factors), outputs['parameters'], steps, step_sizes())
  return {**_posed(model, found.best), 'heatmaps': outputs['heatmaps'], 'objective': found.objectives,
          'steps_taken': found.steps_taken}


def refine_by_steps(model: Estimator, images: tf.Tensor, steps: Sequence[int]) -> list[dict[str, tf.Tensor]]:
  """The results of `refine` after each of several numbers of steps, at the cost of the largest.

  Args:
    model: a trained estimator.
    images: `[B, S, S, 3]` in 0..1, right hands.
    steps: numbers of steps; 0 is the plain estimate.

  Returns:
    For each of `steps` the hand by the names of `tasks.hand.outputs` (vertices, joints, pose, shape, camera),
    parameters and mask.
  """
  outputs = model(images, training=False)
  found = descend(Consistency(model, own_evidence(images, outputs)), outputs['parameters'], max(steps), step_sizes())
  return [_posed(model, found.best_by_step[:, number]) for number in steps]


def own_evidence(images: tf.Tensor, outputs: dict[str, tf.Tensor]) -> Evidence:
  """The `Evidence` in the model's own outputs; 2D joints weigh as much as their heat maps' peaks."""
  confidence = hand_outputs.joint_confidence(tf.reduce_max(outputs['heatmaps'], axis=[1, 2]))
  return Evidence(images, outputs['features'], outputs['joints_2d_rounds'], confidence, outputs['parameters'])


def _posed(model: Estimator, h: tf.Tensor) -> dict[str, tf.Tensor]:
  """The hand posed by parameters h `[B, 63]`, with the parameters and its mask `[B, M, M]`."""
  hand = model.hand(h)
  return {**hand, 'parameters': h, 'mask': model.silhouette(hand['vertices'])}


def signature(model: Estimator) -> Signature:
  """`refine` as a function of a SavedModel; where no joints or no mask are known, give zeros and weights of zero."""
  size, joints = model.inputs[0].shape[1], skeletons.NUM_KEYPOINTS

  def run(steps: tf.Tensor, term_weights: tf.Tensor, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
    return refine(model, steps=within_limits(steps), factors=term_weights_of.factors(term_weights), **inputs)

  return Signature(run, {
      'images': tf.TensorSpec([None, size, size, 3], tf.float32), 'steps': tf.TensorSpec([], tf.int32),
      'joints_2d': tf.TensorSpec([None, joints, 2], tf.float32),
      'joints_2d_weight': tf.TensorSpec([None, joints], tf.float32),
      'mask': tf.TensorSpec([None, size, size], tf.float32), 'mask_weight': tf.TensorSpec([None], tf.float32),
      'term_weights': tf.TensorSpec([len(TERMS)], tf.float32)},
                   ('images', 'joints_2d', 'joints_2d_weight', 'mask', 'mask_weight'), 1, _ABOUT_INPUTS, _ABOUT_OUTPUTS,
                   {'steps': 1})
