"""Pictures of many hands, to inspect the shapes, poses and skins of a hand model."""
import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import rotations
from dhpe_tf.hand.hand_model import HandModel
from dhpe_tf.hand.mano_layer import ManoLayer
from dhpe_tf.hand.parameters import upright
from dhpe_tf.rendering import crop_view, render, shading, texture
from dhpe_tf.visualization import overlay, pictures

_HALF_TURN = (0.0, 0.0, 1.0, 0.0)  # about y: from the back of the hand to the palm
# Crop units per metre; a large hand just fits its tile.
_SCALE = 8.0


def draw_hands(model: HandModel, poses: np.ndarray, shapes: np.ndarray, seed: int = 0, tile: int = 160,
               columns: int = 5) -> np.ndarray:
  """Draws hands in rows, each upright from the back and from the palm, at one scale and with a skin of its own.

  Args:
    model: the hand.
    poses: [N, 45] axis-angle about the flat hand, radians.
    shapes: [N, 10].
    seed: of the skins.
    tile: side of one view, px.
    columns: hands in a row.

  Returns:
    uint8 [H, W, 3].
  """
  back = np.array(upright(model.side))
  palm = rotations.quaternion_multiply(tf.constant(_HALF_TURN, tf.float64), tf.constant(back)).numpy()
  skins, lights, layer = texture.sample_skin(model, len(poses), seed), shading.ambient_and_lamp(1), ManoLayer(model)
  cells = []
  for pose, shape, skin in zip(poses, shapes, skins):
    views = []
    for turn in (back, palm):
      camera = np.concatenate([turn, [_SCALE, 0, 0, 0]])
      vertices = layer(pose[None], shape[None], camera[None])['vertices']
      vertices -= (tf.reduce_min(vertices, 1, keepdims=True) + tf.reduce_max(vertices, 1, keepdims=True)) / 2
      rgb, alpha, _ = render.render_rgb(crop_view.crop_to_pixels(vertices, tile), model.closed_faces, skin, lights,
                                        (tile, tile))
      views.append((rgb + overlay.BACKGROUND * (1 - alpha))[0].numpy())
    cells.append(np.concatenate(views, axis=1))
  columns = min(columns, len(cells))
  cells += [np.full_like(cells[0], overlay.BACKGROUND)] * (-len(cells) % columns)
  rows = [np.concatenate(cells[i:i + columns], axis=1) for i in range(0, len(cells), columns)]
  return pictures.to_bytes(np.concatenate(rows))
