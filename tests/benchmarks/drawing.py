"""Times the drawing of a hand over a picture: `python -m tests.benchmarks.drawing`.

The old way runs the differentiable renderer eagerly over a square crop around the hand, at 3 x 3 points a pixel; traced
is the same as a tf.function, at 2 x 2 points, whose first call at each size takes longer. The new way is
`scene.draw_hands`. All draw the built-in hand in random poses; they take turns.
"""
import statistics
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.rendering import render, shading
from dhpe_tf.visualization import layers, scene
from tests.benchmarks import rendering_views

_ROUNDS = flags.DEFINE_integer('rounds', 24, 'Turns.')
_CLOCK = flags.DEFINE_enum('clock', 'wall', ['wall', 'cpu'],
                           'What is measured; the processor time of one thread is steady on a busy machine.')

HANDS = 8
TARGET_MS = 15  # a hand 250 px tall in a frame of 1280 x 720, mesh and skeleton
# Size of the hand -> of the picture (height, width), pixels.
SETTINGS = {60: (720, 1280), 250: (720, 1280), 600: (720, 1280), 2500: (3000, 4000)}


def _drawn_hands(extent, size):
  """The hands, `extent` px large, in the middle of a picture of `size`."""
  vertices = rendering_views.project(*rendering_views.poses_and_cameras(HANDS, 0), 0, extent)
  vertices[..., :2] += np.array(size[::-1]) / 2
  joints = vertices[:, ::37, :2][:, :21]  # bones as long as a hand's, or longer
  faces = load_hand_model().faces
  return [scene.DrawnHand(joints[k], vertices[k, :, :2], vertices[k, :, 2], faces) for k in range(HANDS)]


def _renderer(side, samples):
  """A function that draws a hand over the square of `side` pixels in the middle of a float picture [side, side, 3]."""
  lights = shading.ambient_and_lamp(1, ambient=0.3, lamp=0.75)
  faces = rendering_views.faces()

  def draw(picture, vertices):
    albedo = tf.ones_like(vertices) * layers.MESH_COLOR
    rgb, alpha, _ = render.render_rgb(vertices, faces, albedo, lights, (side, side), samples=samples)
    return picture * (1 - 0.85 * alpha[0]) + 0.85 * alpha[0] * rgb[0]

  return draw


def _over_square(draw, picture, side):
  """Makes a `_renderer`'s function take hands of `picture`."""
  corner = (np.array(picture.shape[1::-1]) - side) // 2
  crop = picture[corner[1]:corner[1] + side, corner[0]:corner[0] + side].astype(np.float32) / 255

  def run(hand):
    vertices = np.column_stack([hand.vertices_px - corner, hand.vertices_depth])
    return draw(tf.constant(crop), tf.constant(vertices[np.newaxis], tf.float32)).numpy()

  return run


def _ways(extent, size):
  """Name -> function that draws one of `_drawn_hands`."""
  picture = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
  ways = {'mesh': lambda hand: scene.draw_hands(picture, [hand], skeleton=False),
          'mesh and skeleton': lambda hand: scene.draw_hands(picture, [hand])}
  side = extent * 5 // 4
  if side <= min(size) and extent < 1000:  # the renderer would need gigabytes for larger ones
    ways = {'eager renderer, mesh': _over_square(_renderer(side, 3), picture, side),
            'traced, mesh': _over_square(tf.function(_renderer(side, 2)), picture, side), **ways}
  return ways


def main(_):
  """Prints the time of the first hand and the median of the later ones for each size and way."""
  clock = time.process_time if _CLOCK.value == 'cpu' else time.perf_counter
  for extent, size in SETTINGS.items():
    ways, times = _ways(extent, size), {}
    hands = _drawn_hands(extent, size)
    for turn in range(_ROUNDS.value):
      for name, way in ways.items():
        start = clock()
        way(hands[turn % HANDS])
        times.setdefault(name, []).append(1000 * (clock() - start))
    for name, taken in times.items():
      target = f'   target {TARGET_MS}' if (extent, name) == (250, 'mesh and skeleton') else ''
      print(f'{extent:>5} px in {size[1]} x {size[0]}   {name:<22} first {taken[0]:>7.1f} ms   '
            f'median {statistics.median(taken[1:]):>6.1f} ms{target}', flush=True)


if __name__ == '__main__':
  app.run(main)
