"""Draws random people and blends MakeHuman's morph targets into their hands.

MakeHuman names a macro target by its cell in a grid (`universal-male-old-maxmuscle-minweight`). A person's weight of a
target is the product of the linear interpolation weights along the axes of that grid.
"""
from dataclasses import dataclass

import numpy as np

from data_tools.hand_building.source import HAND_TARGETS, BodySource

AGE_ANCHORS = {'baby': 0.0, 'child': 0.1875, 'young': 0.5, 'old': 1.0}
MUSCLE_ANCHORS = {'minmuscle': 0.0, 'averagemuscle': 0.5, 'maxmuscle': 1.0}
WEIGHT_ANCHORS = {'minweight': 0.0, 'averageweight': 0.5, 'maxweight': 1.0}
HEIGHT_ANCHORS = {'minheight': 0.0, '': 0.5, 'maxheight': 1.0}
PROPORTION_ANCHORS = {'uncommonproportions': 0.0, '': 0.5, 'idealproportions': 1.0}
RACES = ('african', 'asian', 'caucasian')
ADULT_SHARE = 0.85
# MakeHuman's hand of a newborn has no separate fingers; ages below this are not drawn.
MIN_AGE = 0.1
HEIGHT_SPREAD, HEIGHT_RANGE = 0.09, (0.3, 0.7)
# Standard deviations along the HAND_TARGETS: whole hand, finger length, finger girth, wrist girth. The first two are
# small, because a full step is 50 mm; variation.py varies the fingers one by one.
HAND_TARGET_SPREADS = (0.05, 0.03, 0.1, 0.3)


@dataclass(frozen=True)
class People:
  """P random people on MakeHuman's axes.

  Attributes:
    gender: [P] in 0..1, 0 female, 1 male.
    age: [P] in 0..1.
    muscle: [P] in 0..1.
    weight: [P] in 0..1.
    height: [P] in 0..1.
    proportion: [P] in 0..1.
    race: [P, 3], rows sum to 1.
    hand: [P, 4] in -1..1, along HAND_TARGETS.
  """

  gender: np.ndarray
  age: np.ndarray
  muscle: np.ndarray
  weight: np.ndarray
  height: np.ndarray
  proportion: np.ndarray
  race: np.ndarray
  hand: np.ndarray


def sample_people(count: int, seed: int) -> People:
  """Draws random people: 85 % adults, both genders equally often, heights at which MakeHuman's bodies look human."""
  rng = np.random.default_rng(seed)
  adult = rng.random(count) < ADULT_SHARE
  return People(
      gender=(rng.random(count) < 0.5).astype(float),
      age=np.where(adult, rng.uniform(0.5, 1.0, count), rng.uniform(MIN_AGE, 0.5, count)),
      muscle=rng.beta(2, 2, count),
      weight=rng.beta(2, 2, count),
      height=np.clip(rng.normal(0.5, HEIGHT_SPREAD, count), *HEIGHT_RANGE),
      proportion=rng.beta(2, 2, count),
      race=rng.dirichlet((0.5, 0.5, 0.5), count),
      hand=np.clip(rng.normal(0, HAND_TARGET_SPREADS, (count, len(HAND_TARGETS))), -1, 1))


def interpolation_weights(values: np.ndarray, anchors: dict[str, float]) -> dict[str, np.ndarray]:
  """Linear (hat function) weight [P] of each anchor at `values` [P]; the weights of all anchors sum to 1."""
  names = sorted(anchors, key=anchors.get)
  positions = [anchors[name] for name in names]
  identity = np.eye(len(names))
  return {name: np.interp(values, positions, identity[i]) for i, name in enumerate(names)}


def target_coefficients(people: People, names: list[str]) -> np.ndarray:
  """Returns the weight of each target for each person: the product over the parts of its name.

  Args:
    people: P people.
    names: T target names below `targets/`, e.g. `macrodetails/height/male-old-...-maxheight`.

  Returns:
    [P, T].
  """
  table = {'female': 1 - people.gender, 'male': people.gender, 'universal': np.ones_like(people.gender)}
  for values, anchors in ((people.age, AGE_ANCHORS), (people.muscle, MUSCLE_ANCHORS), (people.weight, WEIGHT_ANCHORS),
                          (people.height, HEIGHT_ANCHORS), (people.proportion, PROPORTION_ANCHORS)):
    table.update(interpolation_weights(values, anchors))
  table.update({race: people.race[:, i] for i, race in enumerate(RACES)})
  return np.stack([_coefficient(name, table, people.hand) for name in names], axis=1)


def _coefficient(name: str, table: dict[str, np.ndarray], hand: np.ndarray) -> np.ndarray:
  """Weight [P] of one target.

  Args:
    name: of the target.
    table: part of a name -> weight [P].
    hand: [P, 4] positions along HAND_TARGETS.
  """
  stem, _, direction = name.rpartition('-')
  if stem in HAND_TARGETS:
    sign = 1 if direction == 'incr' else -1
    return np.maximum(0, sign * hand[:, HAND_TARGETS.index(stem)])
  return np.prod([table[part] for part in name.rpartition('/')[2].split('-')], axis=0)


def morph(source: BodySource, people: People, vertex_ids: np.ndarray) -> np.ndarray:
  """Shapes the chosen vertices for each person: v_p = v + sum_t c_pt offset_t.

  Args:
    source: the body and its targets.
    people: P people.
    vertex_ids: [M] distinct indices into the body's vertices.

  Returns:
    [P, M, 3] metres, in MakeHuman's body frame.
  """
  row_of = np.full(len(source.vertices), -1)
  row_of[vertex_ids] = np.arange(len(vertex_ids))
  names = sorted(source.targets)
  offsets = np.zeros((len(names), len(vertex_ids), 3))
  for i, name in enumerate(names):
    ids, values = source.targets[name]
    inside = row_of[ids] >= 0
    offsets[i, row_of[ids[inside]]] = values[inside]
  coefficients = target_coefficients(people, names)
  return source.vertices[vertex_ids] + np.einsum('pt,tmc->pmc', coefficients, offsets, optimize=True)
