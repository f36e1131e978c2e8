"""Views for the benchmarks: the built-in hand in random poses and rotations, at a chosen size in pixels."""
import numpy as np

from dhpe_tf.hand import mano_layer
from dhpe_tf.hand.hand_model import load_hand_model

# name -> (image side, larger side of the hand's box), pixels.
SETTINGS = {'g224': (224, 100), 'g64': (64, 50)}


def faces():
  """The hand's faces [F, 3] with the wrist closed."""
  return load_hand_model().closed_faces


def hand_views(setting: str, count: int, seed: int = 0) -> np.ndarray:
  """Returns vertices [count, V, 3], float64: (x, y) in pixels, and depth in the same unit."""
  size, extent = SETTINGS[setting]
  return project(*poses_and_cameras(count, seed), size, extent)


def poses_and_cameras(count, seed):
  """Draws random poses [count, 45] in radians and rotations [count, 4]."""
  random = np.random.default_rng(seed)
  model = load_hand_model()
  poses = model.hands_mean + .5 * random.normal(size=(count, 45)) @ model.hands_components
  return poses, random.normal(size=(count, 4))


def project(poses, rotations, size, extent):
  """Returns vertices in pixels; each hand's box is centred up to half a pixel, and its larger side is `extent`.

  Args:
    poses: [N, 45] radians.
    rotations: [N, 4] quaternions.
    size: side of the image, px.
    extent: larger side of the hand's box, px.

  Returns:
    [N, V, 3].
  """
  count = len(poses)
  layer = mano_layer.ManoLayer(dtype='float64')
  camera = np.concatenate([rotations, np.ones((count, 1)), np.zeros((count, 3))], axis=1)
  vertices = layer(poses, np.zeros((count, 10)), camera)['vertices'].numpy()
  low, high = vertices[..., :2].min(axis=1), vertices[..., :2].max(axis=1)
  vertices *= (extent / (high - low).max(axis=1))[:, np.newaxis, np.newaxis]
  centre = (vertices[..., :2].min(axis=1) + vertices[..., :2].max(axis=1)) / 2
  shift = size / 2 + np.random.default_rng(1).uniform(-.5, .5, (count, 2)) - centre
  vertices[..., :2] += shift[:, np.newaxis]
  vertices[..., 2] += 5 * size
  return vertices
