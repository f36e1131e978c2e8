"""Converts predictions and labels from crop space to the units of protocols: metres in camera axes, pixels."""
import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.geometry import cameras, crops
from dhpe_tf.hand import skeletons
from dhpe_tf.tasks.hand import interacting, protocols
from dhpe_tf.tasks.measured import Measured

ROOT_DEPTHS = ('truth', 'fitted')

Arrays = Mapping[str, np.ndarray]


def measure(protocol: str, predictions: Arrays, labels: Arrays, thresholds_m: np.ndarray,
            root_depth: str = 'truth') -> Measured:
  """Measures predictions by a named protocol.

  Args:
    protocol: its name.
    predictions: of N images, see the module `predictions`.
    labels: of the same images, by the names of the batch.
    thresholds_m: `[T]` thresholds of the PCK curves, metres.
    root_depth: source of the root's depth, one of ROOT_DEPTHS.

  Returns:
    The measures of `protocols.evaluate`, the PCK curve `[T]` of each alignment, and `protocols.lines`.

  Raises:
    UserError: unknown protocol, no label that it counts, or no camera for a protocol that needs one.
  """
  chosen, found, truth = _comparable(protocol, predictions, labels, root_depth)
  return Measured(protocols.evaluate(chosen, found, truth), protocols.curves(chosen, found, truth, thresholds_m),
                  protocols.lines(chosen, found, truth))


def _comparable(protocol: str, predictions: Arrays, labels: Arrays,
                root_depth: str) -> tuple[protocols.Protocol, dict, dict]:
  """Converts predictions and labels to the units of a protocol.

  Returns:
    The protocol without alignments that the labels do not allow, the predictions, and the truth, both by the names of
    `protocols.evaluate`.
  """
  chosen = protocols.get(protocol)
  placed = _has_cameras(labels)
  if 'none' in chosen.alignments and not (placed.all() and 'joints_crop' in predictions):
    chosen = _without_absolute(chosen, int((~placed).sum()))
  if root_depth == 'fitted' and not chosen.own_size:
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
  found = {'joints_3d_m': predictions['joints_3d_m'] if chosen.own_size else joints_m(predictions, labels, root_depth)}
  if 'joints_2d' in predictions:
    joints = tf.constant(predictions['joints_2d'], crop.side_px.dtype)
    found['joints_2d_px'] = crops.from_crop(joints, crop).numpy()
  found.update({name: predictions[name] for name in ('mask', 'is_left') if name in predictions})
  if chosen.by_split and 'id' in labels:
    truth.update({name: labels[name] for name in ('id', 'training_distance') if name in labels})
  if chosen.both_hands and {'id', 'is_left'} <= set(labels):
    truth.update(picture=interacting.pictures(labels['id']), is_left=np.asarray(labels['is_left'], bool))
    if placed.all() and 'joints_crop' in predictions:
      for points in (found, truth):
        points['wrist_m'] = interacting.wrists(points['joints_3d_m'], truth['is_left'], _turns(labels))
  return chosen, found, truth


def joints_m(predictions: Arrays, labels: Arrays, root_depth: str = 'truth') -> np.ndarray:
  """Returns predicted keypoints `[N, 21, 3]` in metres.

  For images with a camera they are placed in camera axes by the inverse of the paper's normalisation. With crop centre
  c and side g, the crop's turn T, focal length f and the root's depth Z_r:

    u = Z_r (g / 2) / f,    Z_k = Z_r + z_k u,    pixel_k = c + (g / 2) T^-1 (x_k, y_k),    P_k = Z_k K^-1 (pixel_k, 1).

  As the labels are, the points P_k are then turned about the camera's axis by T.

  Z_r is the labelled depth or, for 'fitted', the depth at which the bone from wrist to middle MCP has the length that
  the predicted hand gives it. Images without a camera keep the hand model's own size, relative to any origin.

  Args:
    predictions: of N images.
    labels: of the same images, by the names of the batch.
    root_depth: one of ROOT_DEPTHS.
  """
  placed = _has_cameras(labels)
  if 'joints_crop' not in predictions or not placed.any():
    return predictions['joints_3d_m']
  matrices = np.where(placed[:, None, None], labels['intrinsics'], np.eye(3))
  crop = crops.Crop(*(tf.cast(part, tf.float64) for part in _crop(labels)))
  turn, depth = _turns(labels), labels['root_depth_m']
  unturned = crops.turn(tf.constant(predictions['joints_crop'], tf.float64), -turn)
  if root_depth == 'fitted':
    own = predictions['joints_3d_m']
    lengths = np.linalg.norm(own[:, skeletons.WRIST] - own[:, skeletons.ROOT], axis=-1)
    known, bones = (tf.constant(array, tf.float64) for array in (matrices, lengths[:, None]))
    depth = cameras.solve_root_depth(unturned, known, crop, bones, weak=True)
  depth, matrices = (tf.constant(array, tf.float64) for array in (depth, matrices))
  points = crops.turn(cameras.crop_to_metric(unturned, depth, matrices, crop), turn).numpy()
  return np.where(placed[:, None, None], points, predictions['joints_3d_m'])


def _crop(labels: Arrays) -> crops.Crop:
  """Crops of the images; centred at the origin if their place is unknown."""
  side = tf.constant(labels['crop_side_px'])
  center = labels.get('crop_center_px', np.zeros([len(labels['crop_side_px']), 2]))
  return crops.Crop(tf.constant(center, side.dtype), side)


def _turns(labels: Arrays) -> np.ndarray:
  """By how much `[N]` crops and labels are turned, radians; 0 if that is unknown."""
  return np.asarray(labels.get('crop_turn', np.zeros(len(labels['crop_side_px']))), np.float64)


def _has_cameras(labels: Arrays) -> np.ndarray:
  """Which images `[N]` have a camera and a root depth."""
  depth = labels.get('root_depth_m', np.zeros(len(labels['crop_side_px'])))
  return np.asarray(depth) > 0


def _without_absolute(protocol: protocols.Protocol, missing: int) -> protocols.Protocol:
  """Returns the protocol without the alignment 'none'; raises a UserError if it has no other."""
  rest = tuple(alignment for alignment in protocol.alignments if alignment != 'none')
  if not rest:
    raise UserError(f'protocol {protocol.name} compares places in camera space, but {missing} images have no camera')
  return dataclasses.replace(protocol, alignments=rest)
