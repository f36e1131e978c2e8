"""The result of the hard pass: tensorflow_graphics' `Framebuffer`, or a stand-in where that package is not installed.

tensorflow_graphics requires tensorflow-addons, which does not exist for Python 3.12 and later. Only the splat
silhouette needs its functions, and raises an error without them; everything else works with the stand-in.
"""
import dataclasses
from typing import Any, Optional

import tensorflow as tf

from dhpe_tf.errors import UserError


@dataclasses.dataclass
class _RasterizedAttribute:
  """Stand-in for tensorflow_graphics' `RasterizedAttribute`: a value per pixel, [B, H, W, C] or [B, L, H, W, C]."""

  value: tf.Tensor
  d_dx: Optional[tf.Tensor] = None
  d_dy: Optional[tf.Tensor] = None

  def layer(self, index: int) -> '_RasterizedAttribute':
    """Layer `index` [B, H, W, C] of [B, L, H, W, C]; a buffer without layers is its own layer."""
    return self if self.value.shape.rank == 4 else _RasterizedAttribute(self.value[:, index])


@dataclasses.dataclass
class _Framebuffer:
  """Stand-in with the fields and layers of tensorflow_graphics' `Framebuffer`; `rasterizer.rasterize` explains them."""

  barycentrics: _RasterizedAttribute
  triangle_id: tf.Tensor
  vertex_ids: tf.Tensor
  foreground_mask: tf.Tensor
  attributes: dict[str, _RasterizedAttribute] = dataclasses.field(default_factory=dict)

  def layer(self, index: int) -> '_Framebuffer':
    """Layer `index` [B, H, W, ...] of [B, L, H, W, ...]; a buffer without layers is its own layer."""
    if self.triangle_id.shape.rank == 4:
      return self
    return _Framebuffer(self.barycentrics.layer(index), self.triangle_id[:, index], self.vertex_ids[:, index],
                        self.foreground_mask[:, index],
                        {name: value.layer(index) for name, value in self.attributes.items()})


@tf.autograph.experimental.do_not_convert
def make(triangle_id: tf.Tensor, vertex_ids: tf.Tensor, foreground_mask: tf.Tensor, barycentrics: tf.Tensor,
         attributes: Optional[dict[str, tf.Tensor]] = None) -> Any:
  """A `Framebuffer` of tensorflow_graphics if that can be imported, else the stand-in.

  Args:
    triangle_id: int32 [B, H, W, 1] or [B, L, H, W, 1].
    vertex_ids: int32 [..., 3].
    foreground_mask: [..., 1], 1 where a face is seen.
    barycentrics: [..., 3].
    attributes: further values [..., C] by name.
  """
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
  """The module tensorflow_graphics.rendering.splat.

  Raises:
    UserError: it cannot be imported.
  """
  try:
    from tensorflow_graphics.rendering import splat
  except ImportError as error:
    raise UserError('silhouette.method: splat needs tensorflow-graphics (pip install --no-deps '
                    f'tensorflow-graphics==2021.12.3 on Python 3.12 and later; {error})') from error
  return splat
