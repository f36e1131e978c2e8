"""What is written to TensorBoard while training."""
import os
import time
from collections.abc import Sequence
from typing import Optional

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.hand import skeletons
from dhpe_tf.metrics import pck, pose_error
from dhpe_tf.training.settings import TrainSettings
from dhpe_tf.visualization import curves, overlay


@gin.configurable(module='train')
def pictures(model: tf.keras.Model, settings: TrainSettings, log_dir: str,
             count: int = 4) -> Optional[tf.keras.callbacks.Callback]:
  """Shows the model's meshes on the first held-out images after every evaluation; for `train.callbacks`.

  Args:
    model: with outputs 'vertices' and 'joints_2d', and a `hand_model`.
    settings: give the images.
    log_dir: TensorBoard's folder.
    count: images shown.

  Returns:
    The callback; None for a model without `hand_model`, and where nothing is evaluated.
  """
  if not hasattr(model, 'hand_model') or settings.eval_steps == 0:
    return None
  images = next(iter(settings.eval_data()))['image'][:count]
  return Pictures(log_dir, images, model.hand_model.faces)


@gin.configurable(module='train')
def pck_curve(model: tf.keras.Model, settings: TrainSettings, log_dir: str,
              count: int = 256) -> Optional[tf.keras.callbacks.Callback]:
  """Draws the PCK curve of the 3D keypoints on held-out images after every evaluation; for `train.callbacks`.

  Args:
    model: with outputs 'joints_3d' and 'camera', and a `hand_model`.
    settings: give the images.
    log_dir: TensorBoard's folder.
    count: images counted, the first ones.

  Returns:
    The callback; None for a model without `hand_model`, where nothing is evaluated or no root is labelled in 3D.
  """
  if not hasattr(model, 'hand_model') or settings.eval_steps == 0:
    return None
  batches, taken = [], 0
  for batch in settings.eval_data():
    batches.append({name: batch[name] for name in ('image', 'joints_3d_m', 'joints_3d_weight')})
    taken += len(batch['image'])
    if taken >= count:
      break
  labelled = any(np.any(batch['joints_3d_weight'][:, skeletons.ROOT]) for batch in batches)
  return PckCurve(log_dir, batches) if labelled else None


class Scalars(tf.keras.callbacks.Callback):
  """Writes the step's scalars, the learning rate and images per second, and at the end of an epoch the evaluation's."""

  def __init__(self, log_dir: str, every_steps: int = 20):
    super().__init__()
    self._train = tf.summary.create_file_writer(os.path.join(log_dir, 'train'))
    self._eval = tf.summary.create_file_writer(os.path.join(log_dir, 'eval'))
    self._every_steps = every_steps
    self._images = 0
    self._since = time.monotonic()

  def on_train_batch_end(self, batch: int, logs: dict) -> None:
    """Called with the global step; `logs` holds the step's scalars and 'images', the size of the batch."""
    self._images += logs['images']
    if batch % self._every_steps:
      return
    now = time.monotonic()
    speed = {'images_per_second': self._images / max(now - self._since, 1e-9)}
    self._images, self._since = 0, now
    self._write(self._train, batch, {**logs, **speed, 'learning_rate': self._learning_rate()})

  def on_test_begin(self, logs: dict) -> None:
    """Writes out what is there, so that a killed run keeps it."""
    self._train.flush()

  def on_test_end(self, logs: dict) -> None:
    """Called after an evaluation; `logs` holds its scalars and 'step'."""
    self._write(self._eval, logs['step'], {name: value for name, value in logs.items() if name != 'step'})
    # The time spent in the evaluation is no time of training.
    self._images, self._since = 0, time.monotonic()

  def on_train_end(self, logs: dict) -> None:
    """Closes the files."""
    self._train.close()
    self._eval.close()

  def _learning_rate(self) -> float:
    rate = self.model.optimizer.learning_rate
    return float(tf.convert_to_tensor(rate(self.model.optimizer.iterations) if callable(rate) else rate))

  @staticmethod
  def _write(writer: tf.summary.SummaryWriter, step: int, values: dict) -> None:
    with writer.as_default(step):
      for name, value in values.items():
        tf.summary.scalar(name, value)
    writer.flush()


class PckCurve(tf.keras.callbacks.Callback):
  """Writes the PCK curve, aligned at the root, and the area under it after every evaluation."""

  def __init__(self, log_dir: str, batches: Sequence[dict]):
    """Prepares the writer.

    Args:
      log_dir: TensorBoard's folder.
      batches: with 'image' [B, S, S, 3], 'joints_3d_m' [B, K, 3] and 'joints_3d_weight' [B, K].
    """
    super().__init__()
    self._writer = tf.summary.create_file_writer(os.path.join(log_dir, 'eval'))
    self._batches = batches

  def on_test_end(self, logs: dict) -> None:
    """Called after an evaluation; `logs` holds 'step'."""
    thresholds_m = pck.THRESHOLDS_M['full']
    curve = pck.pck_curve(*self._errors(), thresholds_m)
    picture = curves.draw_pck(1000 * thresholds_m, {'model, root aligned': curve}, f'step {logs["step"]}')
    with self._writer.as_default(logs['step']):
      tf.summary.scalar('auc_0_50mm', pck.auc(curve, thresholds_m))
      tf.summary.image('pck', picture[None])
    self._writer.flush()

  def _errors(self) -> tuple[np.ndarray, np.ndarray]:
    """Distances [N, K] in metres, and which of them are known."""
    errors, valid = [], []
    for batch in self._batches:
      results = self.model(batch['image'], training=False)
      joints_m = results['joints_3d'] / results['camera'][:, 4, None, None]
      truth = batch['joints_3d_m'].numpy()
      errors.append(pose_error.joint_errors(pose_error.align_root(joints_m.numpy(), truth, skeletons.ROOT), truth))
      weight = batch['joints_3d_weight'].numpy() > 0
      valid.append(weight & weight[:, skeletons.ROOT, None])
    return np.concatenate(errors), np.concatenate(valid)


class Pictures(tf.keras.callbacks.Callback):
  """Writes panels and 3D meshes of the model's results on a few held-out images after every evaluation."""

  def __init__(self, log_dir: str, images: tf.Tensor, faces: np.ndarray):
    """Prepares the writer.

    Args:
      log_dir: TensorBoard's folder.
      images: [B, S, S, 3] in 0..1.
      faces: [F, 3] of the mesh.
    """
    super().__init__()
    self._writer = tf.summary.create_file_writer(os.path.join(log_dir, 'eval'))
    self._images = images
    self._faces = faces

  def on_test_end(self, logs: dict) -> None:
    """Called after an evaluation; `logs` holds 'step'."""
    from tensorboard.plugins.mesh import summary_v2 as mesh_summary

    results = self.model(self._images, training=False)
    panels = overlay.draw_batch(self._images, results, self._faces)
    # The viewer's axes: y up, z toward the viewer.
    vertices = tf.cast(results['vertices'], tf.float32) * [1., -1., -1.]
    with self._writer.as_default(logs['step']):
      tf.summary.image('results', panels, max_outputs=len(panels))
      mesh_summary.mesh('mesh', vertices, faces=tf.tile(self._faces[None], [len(vertices), 1, 1]))
    self._writer.flush()
