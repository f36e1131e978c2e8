"""Rendered hands to records, for the tools that make record sets of them."""
import concurrent.futures
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


def overlapped(count: int, batch: int, workers: int, render: Callable[[int], tuple],
               record: Callable[[Any, Any, int, int], dict]) -> Iterator[dict]:
  """Yields records; threads put one batch's pictures together and encode them while the next is rendered.

  Args:
    count: number of records.
    batch: hands rendered together.
    workers: threads.
    render: number of the batch -> `Scenes` and `Pictures`.
    record: (scenes as NumPy arrays, pictures, number of the hand in the batch, number of the hand) -> record.
  """
  with concurrent.futures.ThreadPoolExecutor(workers) as pool:
    waiting = []
    for start in range(0, count, batch):
      scenes, pictures = render(start // batch)
      scenes = type(scenes)(*(part.numpy() for part in scenes))
      waiting.append([pool.submit(record, scenes, pictures, i, start + i) for i in range(min(batch, count - start))])
      if len(waiting) > 1:
        yield from (future.result() for future in waiting.pop(0))
    for futures in waiting:
      yield from (future.result() for future in futures)


def make(scenes, pictures, i: int, backgrounds, seed: tuple, name: str, left_share: float, **composing: float) -> dict:
  """Makes one record of a batch.

  Args:
    scenes: `Scenes` as NumPy arrays.
    pictures: `Pictures` of the same batch.
    i: number of the hand in the batch.
    backgrounds: `Backgrounds` to draw from.
    seed: of background, composition and side.
    name: of the record.
    left_share: probability of a left hand, made by mirroring.
    **composing: arguments of `compositing.compose` that gin does not change here.
  """
  from dhpe_tf.data import image_files
  from dhpe_tf.synthesis import compositing
  random = np.random.default_rng(seed)
  picture, mask, seen = compositing.compose(
      pictures.rgb[i], pictures.alpha[i], pictures.joints_px[i], pictures.seen[i], backgrounds, random,
      hand_alpha=pictures.hand_alpha[i], **composing)
  joints_px, joints_3d_m, intrinsics = pictures.joints_px[i], scenes.keypoints_m[i], scenes.intrinsics[i].copy()
  left = random.uniform() < left_share
  side_px = picture.shape[0]
  if left:
    picture, mask = picture[:, ::-1], mask[:, ::-1]
    joints_px = np.concatenate([side_px - joints_px[:, :1], joints_px[:, 1:]], axis=1)
    joints_3d_m = joints_3d_m * [-1, 1, 1]
    intrinsics[0, 2] = side_px - intrinsics[0, 2]
  return {
      'image/encoded': image_files.encode(picture, 'JPEG', quality=int(random.integers(70, 96))),
      'image/height': side_px, 'image/width': side_px, 'image/id': name, 'hand/side': 'left' if left else 'right',
      'hand/joints_2d_px': joints_px, 'hand/joints_2d_valid': np.ones(21), 'hand/visibility': seen.astype(float),
      'hand/joints_3d_m': joints_3d_m, 'hand/joints_3d_valid': np.ones(21),
      'hand/pose': scenes.pose[i], 'hand/shape': scenes.shape[i], 'hand/rotation': scenes.rotation[i],
      'hand/has_parameters': 1.,
      'mask/encoded': image_files.encode(mask, 'PNG', compress_level=1), 'camera/intrinsics': intrinsics,
      'source': 'synthetic', 'group': name,
  }
