"""What the hard pass returns: tensorflow_graphics' `Framebuffer`, or its like where that package is not installed.

tensorflow_graphics requires tensorflow-addons, which there is not for Python 3.12 and later. What of our code uses its
functions (the splat silhouette) says so; all else works on the like.
"""
import dataclasses
from typing import Any, Optional

import tensorflow as tf

from dhpe_tf.errors import UserError


@dataclasses.dataclass
class _RasterizedAttribute:
  """A value per pixel, [B, H, W, C] or [B, L, H, W, C], as tensorflow_graphics' class of that name."""

  value: tf.Tensor
  d_dx: Optional[tf.Tensor] = None
  d_dy: Optional[tf.Tensor] = None

  def layer(self, index: int) -> '_RasterizedAttribute':
    """One layer of [B, L, H, W, C]."""
    return self if self.value.shape.rank == 4 else _RasterizedAttribute(self.value[:, index])


@dataclasses.dataclass
class _Framebuffer:
  """Fields and layers of tensorflow_graphics' class of that name; see `rasterizer.rasterize` for their meaning."""

  barycentrics: _RasterizedAttribute
  triangle_id: tf.Tensor
  vertex_ids: tf.Tensor
  foreground_mask: tf.Tensor
  attributes: dict[str, _RasterizedAttribute] = dataclasses.field(default_factory=dict)

  def layer(self, index: int) -> '_Framebuffer':
    """One layer of [B, L, H, W, ...]."""
    if self.triangle_id.shape.rank == 4:
      return self
    return _Framebuffer(self.barycentrics.layer(index), self.triangle_id[:, index], self.vertex_ids[:, index],
                        self.foreground_mask[:, index],
                        {name: value.layer(index) for name, value in self.attributes.items()})


@tf.autograph.experimental.do_not_convert
def make(triangle_id: tf.Tensor, vertex_ids: tf.Tensor, foreground_mask: tf.Tensor, barycentrics: tf.Tensor,
         attributes: Optional[dict[str, tf.Tensor]] = None) -> Any:
  """A `Framebuffer` of [B, H, W, ...] or [B, L, H, W, ...]: of tensorflow_graphics if it can be imported."""
  try:
    from tensorflow_graphics.rendering import framebuffer
    buffer_class, attribute_class = framebuffer.Framebuffer, framebuffer.RasterizedAttribute
  except ImportError:
    buffer_class, attribute_class = _Framebuffer, _RasterizedAttribute
  return buffer_class(
      barycentrics=attribute_class(barycentrics), triangle_id=triangle_id, vertex_ids=vertex_ids,
      foreground_mask=foreground_mask,
      attributes={name: attribute_class(value) for name, value in (attributes or {}).items()})


@tf.autograph.experimental.do_not_convert
def require_splat() -> Any:
  """tensorflow_graphics' splat module.

  Raises:
    UserError: it cannot be imported.
  """
  try:
    from tensorflow_graphics.rendering import splat
  except ImportError as error:
    raise UserError('silhouette.method: splat needs tensorflow-graphics (pip install --no-deps tensorflow-graphics on '
                    f'Python 3.12 and later; {error})') from error
  return splat
