"""Procedural skin: a colour for every vertex of any hand model, as varied as people's hands are.

Skin is laid on in layers, each from the model's rest shape, skinning weights and keypoints: a tone, lighter on the
palm; blood near the surface (fingertips, knuckles, blotches); creases and wrinkles at the joints; nails; moles.
"""
import functools
from typing import Any, NamedTuple

import gin
import numpy as np

from dhpe_tf.geometry import meshes
from dhpe_tf.hand import skeletons
from dhpe_tf.rendering.shading import to_linear

# Ten tones from light to dark, as photographs in neutral light show them; all are equally frequent.
_TONES = np.array([[245, 214, 196], [236, 196, 172], [222, 176, 148], [205, 155, 124], [184, 131, 100], [160, 108, 80],
                   [130, 86, 62], [102, 66, 48], [76, 50, 38], [54, 36, 28]]) / 255
_PALM_PINK = np.array([.87, .66, .57])
_NAIL_PINK = np.array([.90, .70, .66])


class SkinMap(NamedTuple):
  """The regions of a hand's skin, as weights in 0 .. 1 per vertex.

  Attributes:
    position: [V, 3], rest vertices, metres.
    palm: [V], 1 on the palm side, 0 on the back.
    joints: [V, 15], bands around the finger joints.
    tips: [V], towards the fingertips.
    nails: [V, 5], thumb to little finger.
  """

  position: np.ndarray
  palm: np.ndarray
  joints: np.ndarray
  tips: np.ndarray
  nails: np.ndarray


@gin.configurable(module='rendering')
def sample_skin(hand_model: Any, count: int, seed: int, polish_probability: float = .06) -> np.ndarray:
  """Random skins.

  Args:
    hand_model: a `HandModel`, V vertices.
    count: N.
    seed: the same seed gives the same skins.
    polish_probability: how often nails are painted.

  Returns:
    float32 [N, V, 3], linear reflectance 0 .. 1.
  """
  random = np.random.default_rng(seed)
  skin_map = map_skin(hand_model)
  return np.stack([_one_skin(skin_map, random, polish_probability) for _ in range(count)]).astype(np.float32)


@functools.lru_cache(maxsize=8)
def map_skin(model: Any) -> SkinMap:
  """Computes the `SkinMap` of a `HandModel`; kept for the models used last."""
  vertices = np.asarray(model.v_template, np.float64)
  keypoints = model.rest_keypoints
  normals = meshes.vertex_normals(vertices[np.newaxis], model.faces)[0].numpy()
  dorsal, dorsal_thumb = _dorsal_directions(keypoints, model.side)
  palm = _smooth_step(normals @ dorsal, .35, -.35)
  weights, parents = np.asarray(model.weights, np.float64), model.parents
  joints = np.stack([4 * weights[:, j] * weights[:, parents[j]] for j in range(1, len(parents))], axis=1)
  names = list(skeletons.MANO_JOINT_NAMES)
  nails, tips = [], np.zeros(len(vertices))
  for finger, name in enumerate(skeletons.FINGERS):
    up = dorsal_thumb if finger == 0 else dorsal
    distal, tip = keypoints[3 + 4 * finger], keypoints[4 + 4 * finger]
    bone = tip - distal
    along = (vertices - distal) @ bone / (bone @ bone)
    own = _smooth_step(weights[:, names.index(f'{name}3')], .4, .8)
    nails.append(own * _smooth_step(along, .38, .5) * _smooth_step(normals @ up, .45, .75))
    tips = np.maximum(tips, own * _smooth_step(along, .2, 1))
  return SkinMap(vertices, palm, np.clip(joints, 0, 1), tips, np.stack(nails, axis=1))


def _smooth_step(x, low, high):
  """t^2 (3 - 2 t), t = clip((x - low) / (high - low), 0, 1): 0 at `low`, 1 at `high`, which may be the smaller one."""
  t = np.clip((x - low) / (high - low), 0, 1)
  return t * t * (3 - 2 * t)


def _unit(x):
  """Vectors [..., 3] scaled to length 1."""
  return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)


def _dorsal_directions(keypoints, side):
  """Unit vectors out of the back of the hand and of the thumb, from the rest keypoints [21, 3]."""
  wrist, index, little = keypoints[0], keypoints[5], keypoints[17]
  dorsal = _unit(np.cross(little - wrist, index - wrist)) * (1 if side == 'right' else -1)
  radial = _unit(index - little)
  # A thumb at rest is a little bent, away from its back; half-way between up and outward if it is straight.
  first, last = _unit(keypoints[2] - keypoints[1]), _unit(keypoints[4] - keypoints[3])
  bend = last - (last @ first) * first
  thumb = _unit(.3 * _unit(dorsal + radial) - bend)
  return dorsal, thumb


def _noise(position, random, shortest, longest, waves=24):
  """Smooth random field [V] over positions [V, 3], mean 0 and variance about 1, of wavelengths in metres.

  sqrt(2 / W) sum_w cos(k_w . x + phase_w), |k_w| = 2 pi / wavelength, in random directions.
  """
  length = np.exp(random.uniform(np.log(shortest), np.log(longest), waves))
  vectors = _unit(random.normal(size=(waves, 3))) * (2 * np.pi / length)[:, np.newaxis]
  return np.cos(position @ vectors.T + random.uniform(0, 2 * np.pi, waves)).sum(axis=1) * np.sqrt(2 / waves)


def _one_skin(skin_map, random, polish_probability):
  """One random skin [V, 3], linear reflectance, in layers: tone, palm, melanin, blood, creases, moles, nails."""
  tone = random.uniform(0, len(_TONES) - 1)
  darkness = tone / (len(_TONES) - 1)
  base = np.stack([np.interp(tone, np.arange(len(_TONES)), _TONES[:, c]) for c in range(3)])
  base = base * np.exp(random.normal(0, [.03, .03, .05])) * np.exp(random.normal(0, .06))
  palm_share = skin_map.palm * random.uniform(.25, .45 + .35 * darkness)
  palm_colour = _PALM_PINK * (1 - .45 * darkness) * np.exp(random.normal(0, .04, 3))
  colour = base + palm_share[:, np.newaxis] * (palm_colour - base)

  melanin = .03 * random.uniform(.3, 1.5) * _noise(skin_map.position, random, .01, .06)
  band = skin_map.joints.max(axis=1)
  back = 1 - skin_map.palm
  melanin += random.uniform(0, .25) * (.3 + darkness) * band * back
  blood = random.uniform(.2, 1) * (
      .5 * _noise(skin_map.position, random, .01, .04) + random.uniform(0, 2.5) * skin_map.tips
      + random.uniform(0, 2) * band * back + random.uniform(0, .8) * skin_map.palm)
  colour = colour * np.exp(-melanin[:, np.newaxis] * [1, 1.3, 1.6])
  colour = colour * np.exp(.06 * (1 - .5 * darkness) * blood[:, np.newaxis] * [.5, -1.2, -.9])
  colour = _creases(colour, skin_map, random)
  colour = _moles(colour, skin_map, random)
  colour = _nails(colour, skin_map, random, polish_probability)
  return to_linear(np.clip(colour, .02, .98))


def _creases(colour, skin_map, random):
  """Darker lines: sharp bands at the joints on the palm side, wrinkles on the knuckles, lines in the palm."""
  sharp = (skin_map.joints**3).max(axis=1)
  depth = random.uniform(.05, .25) * sharp * (.4 + .6 * skin_map.palm)
  line = np.abs(_noise(skin_map.position, random, .03, .07, waves=6))
  in_palm = skin_map.palm * (1 - skin_map.joints.max(axis=1)) * (1 - skin_map.tips)
  depth += random.uniform(0, .2) * in_palm * _smooth_step(line, .25, 0)
  return colour * (1 - depth[:, np.newaxis] * [.8, 1, 1])


def _moles(colour, skin_map, random):
  """Darkens a few random vertices, on some hands: [V, 3] of colours [V, 3]."""
  count = random.poisson(random.choice([0, 1, 6]))
  chosen = random.integers(0, len(colour), count)
  colour[chosen] *= random.uniform(.65, .95, (count, 1)) * [1, .95, .9]
  return colour


def _nails(colour, skin_map, random, polish_probability):
  """Nails: pinker and lighter than the skin, or painted in any colour."""
  nail = .5 * colour + .5 * _NAIL_PINK * (.55 + .45 * colour.mean() / .7)
  if random.uniform() < polish_probability:
    nail = np.broadcast_to(random.uniform(.05, .95, 3), colour.shape)
  share = skin_map.nails.max(axis=1, keepdims=True) * random.uniform(.7, 1)
  return colour + share * (nail - colour)
