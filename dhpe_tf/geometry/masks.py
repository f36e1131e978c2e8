"""Resampling masks."""
import numpy as np
import tensorflow as tf


def area_resize(mask: tf.Tensor, size: int) -> tf.Tensor:
  """Resamples masks [B, S, S] to [B, size, size], each new pixel the mean over its area; exact for any two sizes.

  mask'[b] = A mask[b] A^T, A [size, S] the share of each new interval that each old one covers.
  """
  if mask.shape[1] == size:
    return mask
  matrix = _overlaps(mask.shape[1], size)
  return tf.einsum('ij,bjk,lk->bil', matrix, mask, matrix)


def _overlaps(old: int, new: int) -> np.ndarray:
  """The shares [new, old] of each new interval that each old one covers; both divide the same line evenly."""
  old_edges, new_edges = np.linspace(0, 1, old + 1), np.linspace(0, 1, new + 1)
  low = np.maximum(old_edges[None, :-1], new_edges[:-1, None])
  high = np.minimum(old_edges[None, 1:], new_edges[1:, None])
  return (np.maximum(high - low, 0) * new).astype(np.float32)
