"""From crop space to what named protocols compare: metres in camera axes, pixels of the picture."""
import dataclasses

import numpy as np
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.evaluation import measures, protocols
from dhpe_tf.evaluation.measurements import Predictions
from dhpe_tf.geometry import cameras, crops
from dhpe_tf.hand import skeletons

ROOT_DEPTHS = ('truth', 'fitted')


def evaluate(protocol: str, predictions: Predictions, labels: dict[str, np.ndarray],
             root_depth: str = 'truth') -> dict[str, measures.Measure]:
  """Measures predictions by a named protocol.

  Args:
    protocol: its name.
    predictions: of N images.
    labels: of `measurements.collect`.
    root_depth: one of ROOT_DEPTHS: where the depth comes from at which crops become metres.

  Returns:
    See `protocols.evaluate`.

  Raises:
    UserError: unknown protocol, nothing labelled that it counts, or no camera for a protocol that needs one.
  """
  return protocols.evaluate(*_comparable(protocol, predictions, labels, root_depth))


def curves(protocol: str, predictions: Predictions, labels: dict[str, np.ndarray],
           thresholds_m: np.ndarray, root_depth: str = 'truth') -> dict[str, np.ndarray]:
  """The PCK curve [T] over thresholds in metres by alignment; arguments and errors as of `evaluate`."""
  return protocols.curves(*_comparable(protocol, predictions, labels, root_depth), thresholds_m)


def _comparable(protocol: str, predictions: Predictions, labels: dict[str, np.ndarray],
                root_depth: str) -> tuple[protocols.Protocol, dict, dict]:
  """A protocol as far as the labels allow it, predictions and truth in its units."""
  chosen = protocols.get(protocol)
  placed = _has_cameras(labels)
  if 'none' in chosen.alignments and not (placed.all() and predictions.joints_crop is not None):
    chosen = _without_absolute(chosen, int((~placed).sum()))
  if root_depth == 'fitted':
    chosen = dataclasses.replace(chosen, truth_used='crop from the true 2D keypoints; root depth fitted to the size of '
                                 'the predicted hand')
  crop = _crop(labels)
  truth = {
      'joints_3d_m': labels['joints_3d_m'], 'joints_3d_valid': labels['joints_3d_weight'],
      'joints_2d_px': crops.from_crop(tf.constant(labels['joints_2d']), crop).numpy(),
      'joints_2d_valid': labels['joints_2d_weight'], 'crop_side_px': labels['crop_side_px'],
      'mask': labels['mask'], 'mask_valid': labels['mask_weight'],
      **({'visibility': labels['visibility']} if 'visibility' in labels else {}),
  }
  found = {'joints_3d_m': joints_m(predictions, labels, root_depth), 'mask': predictions.mask,
           'joints_2d_px': crops.from_crop(tf.constant(predictions.joints_2d, crop.side_px.dtype), crop).numpy()}
  return chosen, found, truth


def joints_m(predictions: Predictions, labels: dict[str, np.ndarray], root_depth: str = 'truth') -> np.ndarray:
  """Predicted keypoints `[N, 21, 3]` in metres.

  With a camera they are placed by the paper's inverse normalisation, in camera axes: from the crop and the root's
  depth, the true one or ('fitted') the one at which the hand has the size that its shape says. An image without a
  camera keeps the hand model's own size, about any origin.
  """
  placed = _has_cameras(labels)
  if predictions.joints_crop is None or not placed.any():
    return predictions.joints_3d_m
  matrices = np.where(placed[:, None, None], labels['intrinsics'], np.eye(3))
  crop = crops.Crop(*(tf.cast(part, tf.float64) for part in _crop(labels)))
  depth = labels['root_depth_m']
  if root_depth == 'fitted':
    lengths = np.linalg.norm(predictions.joints_3d_m[:, 0] - predictions.joints_3d_m[:, skeletons.ROOT], axis=-1)
    points, known, bones = (tf.constant(array, tf.float64)
                            for array in (predictions.joints_crop, matrices, lengths[:, None]))
    depth = cameras.solve_root_depth(points, known, crop, bones, weak=True)
  points = cameras.crop_to_metric(
      *(tf.constant(array, tf.float64) for array in (predictions.joints_crop, depth, matrices)), crop).numpy()
  return np.where(placed[:, None, None], points, predictions.joints_3d_m)


def _crop(labels: dict[str, np.ndarray]) -> crops.Crop:
  """The crops; about the origin where their place is not known."""
  side = tf.constant(labels['crop_side_px'])
  center = labels.get('crop_center_px', np.zeros([len(labels['crop_side_px']), 2]))
  return crops.Crop(tf.constant(center, side.dtype), side)


def _has_cameras(labels: dict[str, np.ndarray]) -> np.ndarray:
  """Which images `[N]` have a camera and a root depth."""
  depth = labels.get('root_depth_m', np.zeros(len(labels['crop_side_px'])))
  return np.asarray(depth) > 0


def _without_absolute(protocol: protocols.Protocol, missing: int) -> protocols.Protocol:
  """The protocol's alignments that need no absolute place; a UserError if there is none."""
  rest = tuple(alignment for alignment in protocol.alignments if alignment != 'none')
  if not rest:
    raise UserError(f'protocol {protocol.name} compares places in camera space, but {missing} images have no camera')
  return dataclasses.replace(protocol, alignments=rest)
