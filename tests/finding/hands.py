"""Rendered hands with forearms, which the finder finds."""
import functools

import numpy as np

from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.rendering import texture
from dhpe_tf.synthesis import compositing, hand_renderer

SIDE, COUNT = 256, 6
GROUND = 150


class _PlainGround:

  def draw(self, random, side):
    return np.full((side, side, 3), GROUND, np.uint8)


@functools.cache
def rendered() -> tuple[np.ndarray, np.ndarray]:
  """Pictures [COUNT, SIDE, SIDE, 3] uint8 of right hands with forearms, and their joints [COUNT, 21, 2] px."""
  model = load_hand_model()
  renderer = hand_renderer.HandRenderer(model, SIDE, COUNT, fill=(0.35, 0.5), view_spread_deg=15.)
  _, drawn = renderer.sample(1, texture.sample_skin(model, 4, 0))
  pictures = [compositing.compose(*values, _PlainGround(), np.random.default_rng(0), forearm=1., shadow=0., occluder=0.,
                                  blur=0., grain=0.)[0]
              for values in zip(drawn.rgb, drawn.alpha, drawn.joints_px, drawn.seen)]
  return np.stack(pictures), drawn.joints_px
