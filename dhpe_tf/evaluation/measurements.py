"""Running a model over records and measuring it, each number under a named alignment."""
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons
from dhpe_tf.metrics import pck, pose_error, segmentation

CROP_PX = 256  # 2D errors are given for a crop of this side
# Labels that not every data set has: what places a prediction in the camera's space, and what sorts images.
OPTIONAL = ('crop_center_px', 'intrinsics', 'root_depth_m', 'is_left', 'visibility')
LABELS = ('joints_2d', 'joints_2d_weight', 'joints_3d_m', 'joints_3d_weight', 'mask', 'mask_weight', 'crop_side_px')
PCK_THRESHOLDS_MM = (10, 20, 30, 40, 50)
THRESHOLDS_M = pck.THRESHOLDS_M['full']

# Valid keypoints determine scale and rotation; each alignment is of predictions [N, 21, 3] to the truth.
ALIGNMENTS: dict[str, Callable] = {
    'root': lambda predictions, truth, valid: pose_error.align_root(predictions, truth, skeletons.ROOT),
    'root+scale': lambda predictions, truth, valid: pose_error.align_root_scale(
        predictions, truth, skeletons.ROOT, valid),
    'PA': lambda predictions, truth, valid: pose_error.align_procrustes(predictions, truth, valid),
}


class Predictions(NamedTuple):
  """What a model (or a baseline) says about N images, as right hands.

  Attributes:
    joints_3d_m: [N, 21, 3] metres, any origin.
    joints_2d: [N, 21, 2] in crop space.
    mask: [N, S, S] in 0..1.
    joints_crop: [N, 21, 3] in crop space, or None where there is no such thing.
  """

  joints_3d_m: np.ndarray
  joints_2d: np.ndarray
  mask: np.ndarray
  joints_crop: Optional[np.ndarray] = None


def collect(run: Callable[[tf.Tensor], dict], batches: Iterable[dict], what: str, limit: Optional[int] = None,
            show_progress: bool = True) -> tuple[Predictions, dict[str, np.ndarray]]:
  """Runs a model over batches.

  Args:
    run: images [B, S, S, 3] -> outputs 'joints_3d', 'joints_2d', 'camera', 'mask'.
    batches: of the input pipeline.
    what: names the data in progress bar and errors.
    limit: most images to take; None for all.
    show_progress: show a bar.

  Returns:
    The predictions, and the labels by name, each [N, ...]: `LABELS`, and `OPTIONAL` as far as the batches have it.

  Raises:
    UserError: there is no image.
  """
  (predictions,), labels = collect_several(lambda images: [run(images)], batches, what, limit, show_progress)
  return predictions, labels


def collect_several(run: Callable[[Any], Sequence[dict]], batches: Iterable[dict], what: str,
                    limit: Optional[int] = None, show_progress: bool = True,
                    whole_batch: bool = False) -> tuple[list[Predictions], dict[str, np.ndarray]]:
  """As `collect`, for what gives several answers to each image: `run` returns one dict of outputs an answer.

  With `whole_batch` it is given the batch, labels included, for what answers from known 2D joints or masks.
  """
  predictions, labels, count = [], [], 0
  with tqdm(desc=what, unit='image', disable=not show_progress) as bar:
    for batch in batches:
      size = batch['mask'].shape[1]
      predictions.append([_to_predictions(outputs, size) for outputs in run(batch if whole_batch else batch['image'])])
      labels.append({name: batch[name].numpy() for name in (*LABELS, *OPTIONAL) if name in LABELS or name in batch})
      count += len(batch['image'])
      bar.update(len(batch['image']))
      if limit is not None and count >= limit:
        break
  if not predictions:
    raise UserError(f'{what}: no image there; make records for this split.')
  return ([Predictions(*(np.concatenate(parts)[:limit] for parts in zip(*answer))) for answer in zip(*predictions)],
          {name: np.concatenate([part[name] for part in labels])[:limit] for name in labels[0]})


def _to_predictions(outputs: dict, mask_size: int) -> Predictions:
  """A batch of a model's outputs, masks at the size of the labels'."""
  return Predictions(
      (outputs['joints_3d'] / outputs['camera'][:, 4, None, None]).numpy(), outputs['joints_2d'].numpy(),
      tf.image.resize(outputs['mask'][..., None], [mask_size, mask_size])[..., 0].numpy(),
      outputs['joints_3d'].numpy())


def collect_labels(batches: Iterable[dict], what: str, limit: int = 4000) -> dict[str, np.ndarray]:
  """The labels of batches, not augmented, of the input pipeline; see `collect`."""
  def stand_in(images):
    zero = tf.zeros([len(images), 21, 3])
    return {'joints_3d': zero, 'joints_2d': zero[..., :2], 'camera': tf.ones([len(images), 8]),
            'mask': tf.zeros(images.shape[:3])}
  return collect(stand_in, batches, what, limit)[1]


def mean_hand(labels: dict[str, np.ndarray], count: int) -> Predictions:
  """The baseline that always answers the mean hand of the training images: of joints about the root, 2D joints, masks.

  Args:
    labels: of the training images, see `collect_labels`.
    count: images to answer.

  Returns:
    `count` times the same.
  """
  joints = labels['joints_3d_m'] - labels['joints_3d_m'][:, skeletons.ROOT, None]
  valid = labels['joints_3d_weight'] * labels['joints_3d_weight'][:, skeletons.ROOT, None]
  means = (_weighted_mean(joints, valid), _weighted_mean(labels['joints_2d'], labels['joints_2d_weight']),
           _weighted_mean(labels['mask'], labels['mask_weight']))
  return Predictions(*(np.repeat(mean[None], count, axis=0) for mean in means))


def measure(predictions: Predictions, labels: dict[str, np.ndarray]) -> dict[str, Any]:
  """Measures predictions against labels.

  Returns:
    'joints_3d' by alignment (mm, PCK, AUC over 0-50 mm), 'joints_2d' and 'mask'; None where nothing is labelled.
  """
  return {'joints_3d': measure_3d(predictions.joints_3d_m, labels),
          'joints_2d': measure_2d(predictions.joints_2d, labels),
          'mask': measure_mask(predictions.mask, labels)}


def measure_3d(joints_m: np.ndarray, labels: dict[str, np.ndarray]) -> Optional[dict[str, dict]]:
  """Errors of joints [N, 21, 3] in metres under each of `ALIGNMENTS`; images without labelled root are left out."""
  chosen = labels['joints_3d_weight'][:, skeletons.ROOT] > 0
  if not chosen.any():
    return None
  truth, valid = labels['joints_3d_m'][chosen], labels['joints_3d_weight'][chosen] > 0
  return {name: {'images': int(chosen.sum()), **_describe_3d(align(joints_m[chosen], truth, valid), truth, valid)}
          for name, align in ALIGNMENTS.items()}


def _describe_3d(aligned: np.ndarray, truth: np.ndarray, valid: np.ndarray) -> dict[str, Any]:
  errors = pose_error.joint_errors(aligned, truth)
  epe = pose_error.end_point_error(errors, valid)
  curve = pck.pck_curve(errors, valid, THRESHOLDS_M)
  return {'epe_mean_mm': 1000 * epe.mean, 'epe_median_mm': 1000 * epe.median,
          'auc_0_50mm': pck.auc(curve, THRESHOLDS_M),
          'pck': {f'{limit}mm': pck.pck(errors, valid, limit / 1000) for limit in PCK_THRESHOLDS_MM},
          'pck_curve': curve.tolist()}


def measure_2d(joints_2d: np.ndarray, labels: dict[str, np.ndarray]) -> Optional[dict[str, Any]]:
  """Errors of joints [N, 21, 2] in crop space, as pixels of a crop of CROP_PX and of the picture."""
  valid = labels['joints_2d_weight'] > 0
  if not valid.any():
    return None
  errors = pose_error.joint_errors(joints_2d, labels['joints_2d'])
  in_crop = pose_error.end_point_error(errors * CROP_PX / 2, valid, per_keypoint=False)
  in_picture = pose_error.end_point_error(errors * labels['crop_side_px'][:, None] / 2, valid, per_keypoint=False)
  return {'images': int(valid.any(1).sum()), f'mean_px_of_{CROP_PX}_crop': in_crop.mean,
          f'median_px_of_{CROP_PX}_crop': in_crop.median,
          'mean_px_of_picture': in_picture.mean, 'median_px_of_picture': in_picture.median}


def measure_mask(masks: np.ndarray, labels: dict[str, np.ndarray]) -> Optional[dict[str, float]]:
  """Intersection over union of masks [N, S, S] with the labelled ones, a hand being where a mask is above one half."""
  chosen = labels['mask_weight'] > 0
  if not chosen.any():
    return None
  iou = segmentation.hand_iou(masks[chosen], labels['mask'][chosen])
  return {'images': int(chosen.sum()), 'iou_mean': float(iou.mean()), 'iou_median': float(np.median(iou))}


def _weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
  """Mean over the first axis; entries of weight 0 may be anything, and give 0 where they are all there is."""
  weights = (weights > 0).astype(np.float64).reshape(weights.shape + (1,) * (values.ndim - weights.ndim))
  total = np.where(weights > 0, values, 0.).sum(0)
  return total / np.maximum(weights.sum(0), 1.)
