"""The C++ rasterizer op of tensorflow-graphics as a peer, compiled from the sources in its wheel.

The wheel's own rasterizer_op.so loads on no TensorFlow since 2.9.
"""
import importlib.util
import os
import subprocess
from typing import Callable, Optional

import numpy as np
import tensorflow as tf


def _library(folder: str) -> Optional[str]:
  """The compiled op, made in `folder` if it is not there; None without the wheel, its sources or a compiler."""
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
  """A function that draws the views [B, V, 3] (pixels, depth) to size x size; None if the op cannot be had.

  It gives the masks, bool [B, size, size]. The op draws one image at a time.
  """
  library = _library(folder)
  if library is None:
    return None
  op = tf.load_op_library(library).rasterize_triangles
  low, high = views[..., 2:].min(), views[..., 2:].max()
  # Clip space: x right, y down the rows, z -1 .. 1, w 1.
  clip = np.concatenate([2 * views[..., :2] / size - 1, 1.8 * (views[..., 2:] - low) / (high - low) - .9,
                         np.ones_like(views[..., 2:])], axis=-1)
  vertices, triangles = tf.constant(clip, tf.float32), tf.constant(faces, tf.int32)

  @tf.function
  def draw(vertices):
    return [op(vertices=v, triangles=triangles, image_width=size, image_height=size, num_layers=1, face_culling_mode=0)
            for v in tf.unstack(vertices)]

  return lambda: [weights.numpy()[0].sum(axis=-1) > 0 for weights, _, _ in draw(vertices)]
