"""From crop space to what named protocols compare: metres in camera axes, pixels of the picture."""
import dataclasses

import numpy as np
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.evaluation import measures, protocols
from dhpe_tf.evaluation.measurements import Predictions
from dhpe_tf.geometry import cameras, crops


def evaluate(protocol: str, predictions: Predictions, labels: dict[str, np.ndarray]) -> dict[str, measures.Measure]:
  """Measures predictions by a named protocol.

  Args:
    protocol: its name.
    predictions: of N images.
    labels: of `measurements.collect`.

  Returns:
    See `protocols.evaluate`.

  Raises:
    UserError: unknown protocol, nothing labelled that it counts, or no camera for a protocol that needs one.
  """
  return protocols.evaluate(*_comparable(protocol, predictions, labels))


def curves(protocol: str, predictions: Predictions, labels: dict[str, np.ndarray],
           thresholds_m: np.ndarray) -> dict[str, np.ndarray]:
  """The PCK curve [T] over thresholds in metres by alignment; arguments and errors as of `evaluate`."""
  return protocols.curves(*_comparable(protocol, predictions, labels), thresholds_m)


def _comparable(protocol: str, predictions: Predictions,
                labels: dict[str, np.ndarray]) -> tuple[protocols.Protocol, dict, dict]:
  """A protocol as far as the labels allow it, predictions and truth in its units."""
  chosen = protocols.get(protocol)
  placed = _has_cameras(labels)
  if 'none' in chosen.alignments and not (placed.all() and predictions.joints_crop is not None):
    chosen = _without_absolute(chosen, int((~placed).sum()))
  crop = _crop(labels)
  truth = {
      'joints_3d_m': labels['joints_3d_m'], 'joints_3d_valid': labels['joints_3d_weight'],
      'joints_2d_px': crops.from_crop(tf.constant(labels['joints_2d']), crop).numpy(),
      'joints_2d_valid': labels['joints_2d_weight'], 'crop_side_px': labels['crop_side_px'],
      'mask': labels['mask'], 'mask_valid': labels['mask_weight'],
      **({'visibility': labels['visibility']} if 'visibility' in labels else {}),
  }
  found = {'joints_3d_m': joints_m(predictions, labels), 'mask': predictions.mask,
           'joints_2d_px': crops.from_crop(tf.constant(predictions.joints_2d, crop.side_px.dtype), crop).numpy()}
  return chosen, found, truth


def joints_m(predictions: Predictions, labels: dict[str, np.ndarray]) -> np.ndarray:
  """Predicted keypoints `[N, 21, 3]` in metres.

  With a camera they are placed by the paper's inverse normalisation from crop and true root depth, in camera axes; an
  image without one keeps the hand model's own size, about any origin.
  """
  placed = _has_cameras(labels)
  if predictions.joints_crop is None or not placed.any():
    return predictions.joints_3d_m
  matrices = np.where(placed[:, None, None], labels['intrinsics'], np.eye(3))
  points = cameras.crop_to_metric(
      *(tf.constant(array, tf.float64) for array in (predictions.joints_crop, labels['root_depth_m'], matrices)),
      crops.Crop(*(tf.cast(part, tf.float64) for part in _crop(labels)))).numpy()
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
