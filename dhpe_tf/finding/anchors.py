"""The anchors of the palm network: where its answers are measured from.

The layout is a fact of MediaPipe's published graph of 0.10.21 (palm_detection_cpu, its SSD anchors): strides 8, 16, 16
and 16 with two anchors each, so the finest map has two anchors a cell and the coarse map six. Their sizes are all 1,
hence only the centres count.
"""
import numpy as np

from dhpe_tf.networks import palm_net

MAPS = ((24, 2), (12, 6))  # cells along a side, anchors a cell


def anchor_centers_px() -> np.ndarray:
  """Returns the anchors' centres in the order of `palm_net`'s answers: by map, row, column, anchor of the cell.

  Returns:
    [2016, 2] float32, (x, y) in px of the network's picture: cell (i, j) of n x n gives 192 (i + 0.5) / n.
  """
  return np.concatenate([_centers(cells, anchors) for cells, anchors in MAPS]).astype(np.float32)


def _centers(cells: int, anchors: int) -> np.ndarray:
  """The centres [cells * cells * anchors, 2] of one map."""
  line = palm_net.SIZE_PX * (np.arange(cells) + 0.5) / cells
  y, x = np.meshgrid(line, line, indexing='ij')
  return np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), anchors, axis=0)
