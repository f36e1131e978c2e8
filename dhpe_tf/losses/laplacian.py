"""The Laplacian loss: a smooth mesh, or one with the surface detail of a reference."""
from typing import Optional, Union

import gin
import tensorflow as tf

from dhpe_tf.losses import reductions


@gin.configurable(module='losses', denylist=['laplacian', 'reference'])
def laplacian_loss(vertices: tf.Tensor, laplacian: Union[tf.SparseTensor, tf.Tensor],
                   reference: Optional[tf.Tensor] = None, reduction: str = 'mean', squared: bool = False) -> tf.Tensor:
  """The Laplacian loss of Kanazawa et al. 2018 (CMR), which the paper follows.

    L_Lap = mean_v |(L X)_v|,    or mean_v |(L (X - X_ref))_v| with a reference,

  where (L X)_v is vertex v less the (weighted) mean of its neighbours.

  Args:
    vertices: X `[B, V, 3]`.
    laplacian: L `[V, V]`, uniform or cotangent; sparse, or dense where XLA is to compile it.
    reference: X_ref `[V, 3]` or `[B, V, 3]` in the frame and scale of `vertices`; the loss is then the difference of
      Laplacian coordinates, which does not shrink the mesh. None gives the plain loss of the paper, which does.
    reduction: over vertices.
    squared: squared lengths instead of lengths.

  Returns:
    `[B]`.
  """
  if reference is not None:
    vertices = vertices - reference
  coordinates = _multiply(laplacian, vertices)  # L X, [B, V, 3]
  values = tf.reduce_sum(tf.square(coordinates), axis=-1) if squared else reductions.safe_norm(coordinates)
  return reductions.reduce(values, None, reduction)


def _multiply(laplacian: Union[tf.SparseTensor, tf.Tensor], vertices: tf.Tensor) -> tf.Tensor:
  """The product L X_b `[B, V, 3]` of a matrix L `[V, V]` with each X_b of `[B, V, 3]`."""
  if not isinstance(laplacian, tf.SparseTensor):
    return tf.einsum('vw,bwc->bvc', tf.cast(laplacian, vertices.dtype), vertices)
  count = laplacian.shape[0]
  columns = tf.reshape(tf.transpose(vertices, [1, 0, 2]), [count, -1])
  product = tf.sparse.sparse_dense_matmul(tf.cast(laplacian, vertices.dtype), columns)
  return tf.transpose(tf.reshape(product, [count, -1, 3]), [1, 0, 2])
