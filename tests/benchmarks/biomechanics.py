"""Measures what limits of bones and joints gain where most hands have 2D labels only (Spurr et al., ECCV 2020).

  python -m data_tools.make_generalisation --output=records/bench --train=2000 --test=300 --image_size=128
  python -m tests.benchmarks.biomechanics --records=records/bench --output=runs/biomechanics --steps=800 --views=4 \
    --learning_rate=1e-3

The network is the lifter of `bench/relative_depth_joints.gin`. Its input is the 2D joints with noise, hidden ones too,
and no picture, so nothing but what a hand can be tells depth: from 2D labels alone each bone may point to the camera
or away from it. (Landmark features would tell: the landmark network has learnt depths.) Arms, all with equal steps:

  few                 2% of the hands of the split train, with 3D labels
  few + 2D            these, and the split train_all_regions with 2D labels only, half of each step each
  few + 2D + limits   the same with `losses.biomechanics`, limits estimated from the few hands alone
  all                 all hands with 3D labels, the bound

and of the third: half the weight; limits of the built-in hand; limits of few widened twice; limits of few of other
fingers; without one of the three terms each.

Prints, as mean and standard deviation over the seeds: the mean error of depths relative to the root, by the true length
of the bone from the wrist to it; the 2D error; the 3D error relative to the root; the error of the root's depth in
closed form and corrected; the mean excess over the limits of the built-in hand. What is done is kept in the folder of
the output, so that a stopped run goes on. --arm=NAME, again and again, picks arms.

With --photographs=RECORDS (of data_tools.convert_jsonl) all rendered hands of few are joined by photographs, whose
depths, those of the teacher that labelled them, train the arm 'all' only; measured is the split eval. With --dhpe the
network is DHPE on landmark evidence (`bench/landmarks.gin`).
"""
import functools
import json
import os
import pathlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import app, flags

from tests.benchmarks import generalisation as bench
from tests.benchmarks import method_flags

_SHARE = flags.DEFINE_float('few', 0.02, 'Share of the hands of the split train with 3D labels in the arms with few.',
                            0., 1.)
_MANY = flags.DEFINE_string('many', 'train_all_regions', 'Split of the hands with 2D labels only.')
_DHPE = flags.DEFINE_bool('dhpe', False, 'Whether the network is DHPE on landmark evidence.')
_WEIGHT = flags.DEFINE_float('weight', 1., 'Weight of the limits, beside 1 of the 2D joints.', 0.)
_NOISE = flags.DEFINE_float('noise', 0.03, 'Standard deviation of the noise of the given joints, crop units.', 0.)
_PARAM = flags.DEFINE_multi_string('setting', [], 'Settings of all arms.')
_FLAGS = flags.FLAGS

_TERMS = ('bone_lengths', 'palm', 'bends')
_WEIGHTS = dict.fromkeys(_TERMS, 0.1)
_PX = 128  # of a crop of 256 px in a crop unit
_MM = 1000.
_MEASURES = {'depth_mm': 'depth, mm', 'px': '2D, px of 256', '3d_mm': '3D, mm',
             'closed_mm': 'closed-form root depth, mm', 'root_mm': 'corrected root depth, mm',
             'excess': 'excess over the limits'}


class Arm(NamedTuple):
  """One way to train.

  Attributes:
    hands: 'few', 'few + 2D' or 'all'.
    terms: of the limits, those that have a weight.
    limits: 'few', 'built-in', 'widened' or 'other fingers'.
    share: of the weight that they have.
  """

  hands: str
  terms: tuple = ()
  limits: str = 'few'
  share: float = 1.


def arms() -> dict[str, Arm]:
  """The arms by name."""
  partly = 'few + 2D'
  limited = f'{partly} + limits'
  found = {'few': Arm('few'), partly: Arm(partly), limited: Arm(partly, _TERMS), 'all': Arm('all'),
           f'{limited} of half the weight': Arm(partly, _TERMS, share=0.5),
           f'{limited} of the built-in hand': Arm(partly, _TERMS, 'built-in'),
           f'{limited} widened twice': Arm(partly, _TERMS, 'widened'),
           f'{limited} of other fingers': Arm(partly, _TERMS, 'other fingers')}
  for term in _TERMS:
    found[f'{limited} without {term}'] = Arm(partly, tuple(other for other in _TERMS if other != term))
  return found


def main(argv: list[str]) -> None:
  """Trains what is missing, then prints the tables and writes them to table.md."""
  del argv
  os.makedirs(_FLAGS.output, exist_ok=True)
  results = {name: run(name, arm) for name, arm in arms().items() if method_flags.is_chosen(name)}
  text = tables(results)
  with open(os.path.join(_FLAGS.output, 'table.md'), 'w', encoding='utf-8') as file:
    file.write(text)
  print(text)


def run(name: str, arm: Arm) -> list[dict]:
  """The measures of each seed of an arm, from their files where these are there already."""
  paths = [os.path.join(_FLAGS.output, f'{name}_{seed}.json') for seed in range(_FLAGS.seeds)]
  trainer = None
  for seed, path in enumerate(paths):
    if os.path.exists(path):
      continue
    if trainer is None:
      trainer, few, many, tests = _prepared(arm)
      hands = training_hands(arm.hands, few, many)
    trainer.run(hands, seed, f'{name}, seed {seed}')
    found = measure(trainer.method, tests)
    with open(path, 'w', encoding='utf-8') as file:
      json.dump(found, file, indent=1)
  return [json.loads(pathlib.Path(path).read_text(encoding='utf-8')) for path in paths]


def _prepared(arm: Arm):
  """Trainer of an arm, its hands with 3D labels, the others with all labels, and the test hands by split."""
  from dhpe_tf import configuration
  from dhpe_tf.experiment import Experiment
  from dhpe_tf.tasks.hand.bench import splits
  gin_file = 'bench/landmarks.gin' if _DHPE.value else 'bench/relative_depth_joints.gin'
  limits_file = os.path.join(_FLAGS.output, 'limits.json')
  bindings = [f'RECORDS = {_FLAGS.records!r}', *settings(arm, limits_file), *_PARAM.value]
  configuration.load([gin_file], bindings)
  experiment = Experiment()
  trainer = bench.Trainer(experiment)

  def crops(*arguments, **changes):
    hands = bench.hands_of(experiment.task, trainer.method, *arguments, **changes)
    return {**hands, 'visibility': hands['joints_2d_weight']}  # hidden joints are given too
  few, rest = divided(crops('train', _FLAGS.views), _SHARE.value)
  write_limits(few, limits_file)
  if method_flags.PHOTOGRAPHS.value:
    photographs = functools.partial(crops, records=method_flags.PHOTOGRAPHS.value)
    many, tests = photographs('train', _FLAGS.views), {'photographs': photographs('eval', 0)}
  else:
    many = rest if _MANY.value == 'train' else crops(_MANY.value, _FLAGS.views)
    tests = {split: crops(split, 0) for split in splits.TESTS}
  return trainer, few, many, tests


def settings(arm: Arm, limits_file: str) -> list[str]:
  """The gin bindings of an arm; a term that has no weight is 0."""
  if not arm.terms:
    return [] if _DHPE.value else [f'relative_depth.build_lifter.noise = {_NOISE.value}']
  names = {term: _WEIGHTS[term] if term in arm.terms else 0. for term in _TERMS}
  found = [f'biomechanics_loss.{term} = {weight}' for term, weight in names.items()]
  if arm.limits != 'built-in':
    found.append(f'losses.biomechanics.limits_file = {limits_file!r}')
  if arm.limits == 'widened':
    found.append('losses.biomechanics.widened = 2.0')
  if arm.limits == 'other fingers':
    found.append('losses.biomechanics.of_other_fingers = True')
  weight = arm.share * _WEIGHT.value
  if _DHPE.value:
    return [*found, f'EvidenceObjective.biomechanics = {weight}']
  return [*found, f'relative_depth.build_lifter.noise = {_NOISE.value}',
          f'relative_depth.settings_of.biomechanics_weight = {weight}',
          f'relative_depth.settings_of.size_weight = {0.1 * weight}']


def divided(hands: dict, share: float) -> tuple[dict, dict]:
  """Divides hands, with all views of each, into a share of them, always the same, and the rest."""
  names = np.unique(hands['id'])
  chosen = np.isin(hands['id'], np.random.default_rng(0).permutation(names)[:round(share * len(names))])
  return tuple({name: value[rows] for name, value in hands.items()} for rows in (chosen, ~chosen))


def write_limits(few: dict, path: str) -> None:
  """Estimates limits from hands with 3D labels, as `data_tools.estimate_limits` does, and writes them to a file."""
  from dhpe_tf.hand import bone_limits
  from dhpe_tf.tasks.task import write_json
  if os.path.exists(path):
    return
  known = (few['joints_3d_weight'] > 0).all(1)
  limits = bone_limits.estimate(few['joints_3d_m'][known])
  write_json(path, {'made_from': f'{len(np.unique(few["id"]))} hands', **limits.to_json()})


def training_hands(which: str, few: dict, many: dict) -> dict[str, np.ndarray]:
  """The training hands of an arm.

  Args:
    which: see `Arm.hands`.
    few: with 3D labels.
    many: others with 3D labels.

  Returns:
    Those; where there are two kinds, each is about half, since a step draws from all alike.
  """
  from dhpe_tf.tasks.hand import partial_labels
  if which == 'few':
    return few
  if which == 'few + 2D':
    given = {name: value for name, value in many.items() if name != 'id'}
    hidden = partial_labels.hide(given, [partial_labels.JOINTS_3D])
    many = {**many, **{name: np.asarray(value) for name, value in hidden.items()}}
  return bench.joined([few] * max(1, round(len(many['id']) / len(few['id']))) + [many])


def measure(method, tests: dict[str, dict]) -> dict[str, float]:
  """All measures of a trained network, by name; depths by split as well."""
  by_split = {split: _errors(method, hands) for split, hands in tests.items()}
  found = {name: float(np.concatenate([errors[name] for errors in by_split.values()]).mean())
           for name in next(iter(by_split.values()))}
  for split, errors in by_split.items():
    found.update({f'{name}/{split}': float(errors[name].mean()) for name in ('depth_mm', 'px')})
  return found


def _errors(method, hands: dict) -> dict[str, np.ndarray]:
  """Errors of each of the hands [N] by name."""
  parts = []
  for start in range(0, len(hands['id']), 500):
    batch = bench.batch_of(hands, slice(start, start + 500))
    answer = dhpe_hands(method, batch) if _DHPE.value else method(noisy(method, batch, start), training=False)
    parts.append({name: np.asarray(value) for name, value in errors_of(answer, batch).items()})
  return bench.joined(parts)


def noisy(method, batch: dict, seed: int) -> dict:
  """The method's inputs, the joints with noise, always the same for a seed."""
  given = {name: batch[name] for name in method.input_specs}
  noise = np.random.default_rng(seed).normal(0, _NOISE.value, given['joints_2d'].shape)
  return {**given, 'joints_2d': given['joints_2d'] + tf.constant(noise, tf.float32)}


def dhpe_hands(method, batch: dict) -> dict[str, tf.Tensor]:
  """The hands that DHPE sees in landmark evidence, by the names of `RelativeDepth`'s outputs that it can give."""
  from dhpe_tf.hand import canonical_hand
  from dhpe_tf.methods.dhpe.landmarks import evidence
  joints = method.fitted_joints(evidence.unpack(batch['landmark_evidence']), 0)
  hand = canonical_hand.canonical(joints.metres, tf.ones(tf.shape(joints.metres)[:2])).joints
  return {'joints_2d': joints.joints_2d, 'relative': hand[..., 2], 'hand': hand}


def errors_of(answer: dict, batch: dict) -> dict[str, tf.Tensor]:
  """Errors [B] by name, see the names in `_MEASURES`; those of the root's depth only where it is known.

  Args:
    answer: by the names of the outputs of `RelativeDepth`.
    batch: with all labels.
  """
  from dhpe_tf.hand import canonical_hand
  from dhpe_tf.methods.relative_depth import model
  true = canonical_hand.canonical(batch['joints_3d_m'], batch['joints_3d_weight'])
  hand = answer['hand'] - answer['hand'][:, model.BONE[1], None]
  found = {'depth_mm': _MM * true.bone_m * tf.reduce_mean(tf.abs(answer['relative'] - true.joints[..., 2]), axis=1),
           'px': _PX * tf.reduce_mean(tf.norm(answer['joints_2d'] - batch['joints_2d'], axis=-1), axis=1),
           '3d_mm': _MM * true.bone_m * tf.reduce_mean(tf.norm(hand - true.joints, axis=-1), axis=1)}
  deep, known = model.true_root_depth(batch, true)
  if np.all(known) and 'root_depth' in answer:
    found['closed_mm'] = _MM * true.bone_m * tf.abs(answer['closed_depth'] - deep)
    found['root_mm'] = _MM * true.bone_m * tf.abs(answer['root_depth'] - deep)
  return {**found, 'excess': _excess(hand)}


def _excess(hands: tf.Tensor) -> tf.Tensor:
  """The excess [B] of hands over the limits of the built-in hand, the sum of the three terms without weights."""
  from dhpe_tf.losses import biomechanics
  terms = biomechanics.biomechanics(hands, limits_file='', widened=1., of_other_fingers=False)
  return sum(terms.values())


def tables(results: dict[str, list[dict]]) -> str:
  """The tables of all measures, Markdown.

  Args:
    results: arm -> measures of its seeds.
  """
  first = next(iter(results.values()))[0]
  names = [name for name in _MEASURES if name in first]
  lines = [_row('hands', *(_MEASURES[name] for name in names)), _row(*['---'] * (1 + len(names)))]
  lines += [_row(arm, *(_cell([seed[name] for seed in seeds], '.3f' if name == 'excess' else '.1f') for name in names))
            for arm, seeds in results.items()]
  splits = [name for name in first if name.startswith('depth_mm/')]
  lines += ['', _row('depth, mm', *(name.partition('/')[2] for name in splits)), _row(*['---'] * (1 + len(splits)))]
  lines += [_row(arm, *(_cell([seed[name] for seed in seeds], '.1f') for name in splits))
            for arm, seeds in results.items()]
  return '\n'.join(lines) + '\n'


def _cell(values: list, form: str) -> str:
  """Mean and spread over the seeds."""
  from dhpe_tf.experiments.ablations import spread
  return spread(values, form)


def _row(*cells: str) -> str:
  """A row of a Markdown table."""
  return f'| {" | ".join(cells)} |'


if __name__ == '__main__':
  app.run(main)
