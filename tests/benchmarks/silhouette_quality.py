"""Quality of differentiable silhouettes: accuracy, smoothness, gradient, and recovery of poses."""
import functools

import numpy as np
import tensorflow as tf

from dhpe_tf.rendering import rasterizer
from dhpe_tf.rendering.silhouette import silhouette
from tests.benchmarks import rendering_views
from tests.rendering import scenes
from tests.rendering.fitting import HandFitting


@functools.cache
def accuracy(method: str, setting: str, count: int) -> tuple[float, float]:
  """Returns the mean error of boundary pixels against 256 samples, and the median IoU with the hard mask.

  Args:
    method: of `silhouette`; pixels above 0.5 count for the IoU.
    setting: key of `rendering_views.SETTINGS`.
    count: number of images.
  """
  faces, views = rendering_views.faces(), rendering_views.hand_views(setting, count, seed=1)
  size = (rendering_views.SETTINGS[setting][0],) * 2
  errors, overlaps = [], []
  hard = rasterizer.rasterize(views, faces, size).foreground_mask.numpy()[..., 0] > 0
  masks = _graph(method, faces, size)(views).numpy()
  for view, mask, sure in zip(views, masks, hard):
    truth = scenes.supersampled_area(view, faces, size)
    errors.append(np.abs(mask - truth)[(truth > 0) & (truth < 1)])
    drawn = mask > .5
    overlaps.append((drawn & sure).sum() / (drawn | sure).sum())
  return float(np.concatenate(errors).mean()), float(np.median(overlaps))


def jumps(method: str, setting: str, count: int, steps: int = 50, threshold: float = .1) -> float:
  """Returns the pixels an image that change by more than `threshold` in one of `steps` steps of a motion over 1 px."""
  faces, views = rendering_views.faces(), rendering_views.hand_views(setting, count, seed=2)
  draw = _graph(method, faces, (rendering_views.SETTINGS[setting][0],) * 2)
  before, total = draw(views).numpy(), 0
  for k in range(1, steps + 1):
    after = draw(views + np.array([k / steps, 0, 0])).numpy()
    total += (np.abs(after - before) > threshold).sum()
    before = after
  return total / count


def difference_failures(method: str, setting: str, count: int, step: float = 1e-3) -> tuple[float, float]:
  """Returns the shares of random trials in which gradient and central difference differ by more than 10 %.

  With a random weighting W of the pixels and a direction d of the vertices, the trial compares

    <dL/dv, d>  and  (L(v + h d) - L(v - h d)) / (2 h),    L(v) = sum W silhouette(v).

  Args:
    method: of `silhouette`.
    setting: key of `rendering_views.SETTINGS`.
    count: number of trials.
    step: h, in pixels of the fastest vertex.

  Returns:
    The shares for moving vertices and for a moving pose.
  """
  size, extent = rendering_views.SETTINGS[setting]
  faces, random = rendering_views.faces(), np.random.default_rng(3)
  poses, rotations = rendering_views.poses_and_cameras(count, seed=3)
  views = rendering_views.project(poses, rotations, size, extent)
  bend = random.normal(size=poses.shape)
  velocity = [random.normal(size=views.shape) * [1, 1, 0],
              rendering_views.project(poses + 1e-5 * bend, rotations, size, extent) - views]
  draw = _graph(method, faces, (size, size), gradient=True)
  weights = random.normal(size=(count, size, size))
  failures = []
  for direction in velocity:
    direction = direction / np.linalg.norm(direction, axis=-1, keepdims=True).max(axis=1, keepdims=True)
    gradient = draw(views, weights)[1].numpy()
    analytic = (gradient * direction).sum(axis=(1, 2))
    high, low = (draw(views + sign * step * direction, weights)[0].numpy() for sign in (1, -1))
    numeric = ((high.astype(np.float64) - low) * weights).sum(axis=(1, 2)) / (2 * step)
    failures.append(float(np.mean(np.abs(numeric - analytic) > .1 * np.abs(numeric) + 1e-9)))
  return tuple(failures)


def recovery(method: str, starts: int) -> tuple[float, float, float, float]:
  """Fits poses to a 64 px mask by 60 steps.

  Args:
    method: of `silhouette`.
    starts: number of wrong poses to start from.

  Returns:
    IoU: median and worst tenth; median vertex error in pixels at the start and at the end.
  """
  problem = HandFitting(starts)
  fitted = problem.descend(functools.partial(silhouette, method=method), steps=60, rate=.04)
  target = problem.vertices_px(problem.target).numpy()
  errors = [np.median(np.linalg.norm(problem.vertices_px(v).numpy()[..., :2] - target[..., :2], axis=-1))
            for v in (problem.start, fitted)]
  overlap = problem.iou(fitted)
  return float(np.median(overlap)), float(np.percentile(overlap, 10)), *map(float, errors)


def _graph(method, faces, size, gradient=False):
  """Returns the silhouette as a graph of float64 vertices, and with `gradient` also its weighted gradient."""
  if not gradient:
    return tf.function(lambda v: silhouette(v, faces, size, method=method))

  @tf.function
  def both(vertices, weights):
    with tf.GradientTape() as tape:
      tape.watch(vertices)
      mask = silhouette(vertices, faces, size, method=method)
      loss = tf.reduce_sum(mask * tf.cast(weights, mask.dtype))
    return mask, tape.gradient(loss, vertices)

  return lambda v, w: both(tf.constant(v), tf.constant(w))
