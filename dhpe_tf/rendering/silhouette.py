"""The silhouette of a mesh: one function, its method chosen by name."""
import importlib
from collections.abc import Callable
from typing import Union

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.errors import UserError

# Method -> (module, function of vertices_px, faces and image_size). Imported when used.
METHODS = {
    'exact_area': ('dhpe_tf.rendering.exact_area', 'exact_area_silhouette'),
    'exact_area_within_budget': ('dhpe_tf.rendering.exact_area', 'exact_area_within_budget'),
    'soft': ('dhpe_tf.rendering.soft_silhouette', 'soft_silhouette'),
    'splat': ('dhpe_tf.rendering.splat_silhouette', 'splat_silhouette'),
    'kato': ('dhpe_tf.rendering.kato_silhouette', 'kato_silhouette'),
}


@gin.configurable(module='rendering')
def silhouette(vertices_px: tf.Tensor, faces: Union[np.ndarray, tf.Tensor], image_size: tuple[int, int],
               method: str = 'exact_area') -> tf.Tensor:
  """Differentiable silhouette of a batch of meshes that share their faces.

  Args:
    vertices_px: [B, V, 2] or [B, V, 3], (x, y) in pixels and depth, which not all methods need; float32 or float64.
    faces: int [F, 3], constant; of a closed mesh (`HandModel.closed_faces`).
    image_size: (height, width) in pixels.
    method: 'exact_area', the covered area of every pixel: exact, without jumps, and the default;
      'exact_area_within_budget', the same for XLA, on a GPU or TPU; 'soft', Soft Rasterizer's, fatter than the mesh;
      'splat', tensorflow_graphics' rasterize-then-splat (float32 only); 'kato', the hard mask with Kato et al.'s
      approximate gradient, which the paper used.

  Returns:
    [B, height, width] in 0 .. 1.

  Raises:
    UserError: an unknown method, or a mesh that is open or not consistently oriented.
  """
  return find_method(method)(vertices_px, faces, image_size)


@tf.autograph.experimental.do_not_convert
def find_method(method: str) -> Callable:
  """The function (vertices_px, faces, image_size) -> [B, height, width] of a method's name.

  Raises:
    UserError: an unknown method.
  """
  if method not in METHODS:
    raise UserError(f'silhouette.method: unknown {method!r}; choose one of {", ".join(METHODS)}')
  module, function = METHODS[method]
  return getattr(importlib.import_module(module), function)
