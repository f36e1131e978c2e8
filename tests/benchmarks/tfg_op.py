"""The C++ rasterizer op of tensorflow-graphics as a peer, compiled from the sources in its wheel.

The wheel's own rasterizer_op.so does not load on TensorFlow 2.9 and later.
"""
import importlib.util
import os
import subprocess
from typing import Callable, Optional

import numpy as np
import tensorflow as tf


def _library(folder: str) -> Optional[str]:
  """Returns the compiled op, made in `folder` if it is missing; None without the wheel, its sources or a compiler."""
  package = importlib.util.find_spec('tensorflow_graphics')
  if package is None:
    return None
  kernels = os.path.join(os.path.dirname(package.origin), 'rendering', 'kernels')
  sources = [os.path.join(kernels, f'rasterize_triangles_{part}.cc') for part in ('op', 'impl')]
  library = os.path.join(folder, f'rasterize_triangles_{tf.version.VERSION}.so')
  if not os.path.exists(library):
    os.makedirs(folder, exist_ok=True)
    command = ['g++', '-std=c++17', '-O3', '-shared', '-fPIC', *sources, *tf.sysconfig.get_compile_flags(),
               *tf.sysconfig.get_link_flags(), '-o', library]
    try:
      if subprocess.run(command, capture_output=True, check=False).returncode:
        return None
    except OSError:
      return None
  return library


def hard_pass(folder: str, views: np.ndarray, faces: np.ndarray, size: int) -> Optional[Callable[[], list[np.ndarray]]]:
  """Returns a function that draws the masks of all views, bool [B, size, size]; None if the op is not available.

  The op draws one image at a time.

  Args:
    folder: of the compiled op.
    views: [B, V, 3] (pixels, depth).
    faces: [F, 3].
    size: side of the images, px.
  """
  library = _library(folder)
  if library is None:
    return None
  op = tf.load_op_library(library).rasterize_triangles
  low, high = views[..., 2:].min(), views[..., 2:].max()
  # Clip space: x to the right, y down, both in -1..1 over the image; z in -0.9..0.9; w = 1.
  clip = np.concatenate([2 * views[..., :2] / size - 1, 1.8 * (views[..., 2:] - low) / (high - low) - .9,
                         np.ones_like(views[..., 2:])], axis=-1)
  vertices, triangles = tf.constant(clip, tf.float32), tf.constant(faces, tf.int32)

  @tf.function
  def draw(vertices):
    return [op(vertices=v, triangles=triangles, image_width=size, image_height=size, num_layers=1, face_culling_mode=0)
            for v in tf.unstack(vertices)]

  return lambda: [weights.numpy()[0].sum(axis=-1) > 0 for weights, _, _ in draw(vertices)]
