"""Measures the cross-modal VAE on the generalisation bench beside direct networks with the same inputs.

  python -m data_tools.make_generalisation --output=records/bench --train=2000 --test=200 --image_size=64
  python -m tests.benchmarks.cross_modal_vae --records=records/bench --output=runs/bench_vae --steps=1500 --views=4 \
    --learning_rate=1e-3
  python -m tests.benchmarks.cross_modal_vae --records=records/bench --output=runs/bench_vae_image --from_pictures \
    --steps=800 --views=2 --learning_rate=2e-3 --arm=direct \
    --arm='VAE, all pairs a step' --arm='VAE, few' --arm='VAE, few and skeletons'

Arms, all with equal steps: the direct network and the VAE on the split train; both on a twentieth of its hands; the VAE
on these and on the others without what it is asked for (skeletons: of pictures 2D and 3D joints stay, of 2D joints the
3D ones); the VAE with the mean of all pairs in each step, as all further arms have it, with a larger weight of the KL,
and with that of the biomechanical limits as well; and, as the control, separate auto-encoders of input and 3D joints
with a linear map from the means of one's codes to the other's, fitted by least squares on the training hands.

Prints, as mean and standard deviation over the seeds: the mean joint error by split of the protocol hands19; how far
decoded 3D joints, laid over the decoded 2D joints of the same code and of another hand's, are from these; the KL by
dimension; and which hands along walks, and of random codes, the biomechanical limits of the built-in hand allow. What
is done is kept in the folder of the output, so that a stopped run goes on. --arm=NAME, again and again, picks arms.
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

_FROM_PICTURES = flags.DEFINE_bool('from_pictures', False, 'Whether the input is the picture, not the 2D joints.')
_SHARE = flags.DEFINE_float('share', 0.05, 'Share of the hands that is labelled in the arms with few.', 0., 1.)
_FLAGS = flags.FLAGS

_FEASIBLE = 0.05  # excess of each term up to which a hand counts as possible, see `possible`
_PX = 128  # of a crop of 256 px in a crop unit
_WALKS, _WALK_STEPS = 50, 16
# Kinds of hands whose limits are looked at.
_OF_NONE = ('true hands', 'straight lines between their joints')
_OF_ARMS = ('decoded hands', 'walks', 'random codes')
_MAP_NOISE = 1e-3  # of the ridge of the linear map, beside codes of variance 1


class Arm(NamedTuple):
  """One way to train.

  Attributes:
    gin_file: its network.
    settings: bindings.
    hands: 'all', 'few' or 'few and skeletons'.
  """

  gin_file: str
  settings: tuple = ()
  hands: str = 'all'


def arms(from_pictures: bool) -> dict[str, Arm]:
  """The arms by name."""
  source = 'image' if from_pictures else 'joints_2d'
  direct = 'bench/direct.gin' if from_pictures else 'bench/lifter.gin'
  vae = 'bench/cross_modal_vae.gin' if from_pictures else 'bench/cross_modal_vae_joints.gin'
  at_once = ('cross_modal_vae.build_model.alternating = False',)
  apart = (f"cross_modal_vae.build_model.pairs = [('{source}', 'joints_2d'), ('joints_3d', 'joints_3d')]",)
  broad = (*at_once, 'cross_modal_vae.build_model.kl_weight = 1e-3')
  limited = (*broad, 'cross_modal_vae.build_model.biomechanics_weight = 1.0')
  return {'direct': Arm(direct), 'VAE, a pair a step': Arm(vae), 'VAE, all pairs a step': Arm(vae, at_once),
          'VAE, KL weight 1e-3': Arm(vae, broad), 'VAE, KL weight 1e-3, limits': Arm(vae, limited),
          'direct, few': Arm(direct, (), 'few'), 'VAE, few': Arm(vae, at_once, 'few'),
          'VAE, few and skeletons': Arm(vae, at_once, 'few and skeletons'),
          'VAE, KL weight 1e-3, few': Arm(vae, broad, 'few'),
          'VAE, KL weight 1e-3, few and skeletons': Arm(vae, broad, 'few and skeletons'),
          'separate and linear map': Arm(vae, (*at_once, *apart))}


def main(argv: list[str]) -> None:
  """Trains what is missing, then prints the tables and writes them to table.md."""
  del argv
  os.makedirs(_FLAGS.output, exist_ok=True)
  results = {name: run(name, arm) for name, arm in arms(_FROM_PICTURES.value).items()
             if method_flags.is_chosen(name)}
  text = tables(results)
  with open(os.path.join(_FLAGS.output, 'table.md'), 'w', encoding='utf-8') as file:
    file.write(text)
  print(text)


def run(name: str, arm: Arm) -> list[dict]:
  """The measures of each seed of an arm, from their files where these are there already."""
  from dhpe_tf import configuration
  from dhpe_tf.experiment import Experiment
  paths = [os.path.join(_FLAGS.output, f'{name}_{seed}.json') for seed in range(_FLAGS.seeds)]
  trainer = None
  for seed, path in enumerate(paths):
    if os.path.exists(path):
      continue
    if trainer is None:
      configuration.load([arm.gin_file], [f'RECORDS = {_FLAGS.records!r}', *arm.settings])
      experiment = Experiment()
      trainer = bench.Trainer(experiment)
      crops = functools.partial(bench.hands_of, experiment.task, trainer.method)
      hands, tests = training_hands(arm.hands, crops('train', _FLAGS.views)), _tests(crops)
    trainer.run(hands, seed, f'{name}, seed {seed}')
    found = measure(experiment.task, trainer.method, hands, tests, 'linear map' in name)
    with open(path, 'w', encoding='utf-8') as file:
      json.dump(found, file, indent=1)
  return [json.loads(pathlib.Path(path).read_text(encoding='utf-8')) for path in paths]


def _tests(crops) -> dict[str, np.ndarray]:
  """The hands of all test splits."""
  from dhpe_tf.tasks.hand.bench import splits
  return bench.joined([crops(split, 0) for split in splits.TESTS])


def training_hands(which: str, hands: dict) -> dict[str, np.ndarray]:
  """The training hands of an arm.

  Args:
    which: see `Arm.hands`.
    hands: all of them, as of `bench.hands_of`.

  Returns:
    Those; of few and skeletons each about half, since a step draws from all alike.
  """
  from dhpe_tf.tasks.hand import partial_labels
  if which == 'all':
    return hands
  names = np.unique(hands['id'])
  chosen = np.isin(hands['id'], np.random.default_rng(0).permutation(names)[:round(_SHARE.value * len(names))])
  few = {name: value[chosen] for name, value in hands.items()}
  if which == 'few':
    return few
  others = {name: value[~chosen] for name, value in hands.items()}
  hidden = partial_labels.hide({name: value for name, value in others.items() if name != 'id'},
                          ['image' if _FROM_PICTURES.value else 'joints_2d'])
  others = {**others, **{name: np.asarray(value) for name, value in hidden.items()}}
  return bench.joined([few] * round((~chosen).sum() / chosen.sum()) + [others])


def measure(task, method, hands: dict, tests: dict, mapped: bool) -> dict:
  """All measures of a trained network, by name; those of codes for a VAE only.

  Args:
    task: the hand task.
    method: the network.
    hands: what it was trained on.
    tests: the hands of the test splits.
    mapped: whether 3D joints are decoded from linearly mapped codes.
  """
  from dhpe_tf.methods.cross_modal_vae.model import CrossModalVae
  from dhpe_tf.tasks.hand import predictions
  if not isinstance(method, CrossModalVae):
    return _errors(task, bench.predictions(method, tests), tests)
  batch = bench.batch_of(tests, slice(None))
  code = encoded(method, tests)['mean']
  code_3d = code
  if mapped:
    code_3d = linear_map(*(encoded(method, hands, name)['mean'] for name in (None, 'joints_3d')))(code)
  flat, canonical = method.decoders['joints_2d'](code).numpy(), method.decoders['joints_3d'](code_3d).numpy()
  answer = method.placed(flat, canonical, batch)
  found = _errors(task, predictions.from_outputs(answer, 0), tests)
  others = np.roll(np.arange(len(code)), len(code) // 2)
  found.update(matched_px=_PX * apart(flat, canonical), mismatched_px=_PX * apart(flat, canonical[others]))
  if not mapped:
    found.update(kl=divergences(encoded(method, tests)), **walks(method, code, batch))
  return found


def _errors(task, points: dict, tests: dict) -> dict[str, float]:
  """The mean joint error of each test split, mm, after moving the wrist."""
  measured = task.measure('hands19', points, tests).measures
  return {name: float(found.value) for name, found in measured.items()
          if name.startswith('mje_') and name.endswith(f'/{_FLAGS.alignment}')
          and not name.split('/')[0].endswith(('_low', '_high'))}


def encoded(method, hands: dict, modality: str = None) -> dict[str, np.ndarray]:
  """'mean' and 'log_variance' [N, D] of hands; by the source's encoder, or by that of `modality`."""
  parts = []
  for start in range(0, len(hands['id']), 500):
    batch = bench.batch_of(hands, slice(start, start + 500))
    if modality is None:
      code = method({name: batch[name] for name in method.input_specs}, training=False)
    else:
      encoder = method.encoders[modality]
      code = encoder({name: batch[name] for name in encoder.input}, training=False)
    parts.append({name: value.numpy() for name, value in code.items()})
  return bench.joined(parts)


def linear_map(first: np.ndarray, second: np.ndarray):
  """The affine map that takes codes `first` to `second`, each [N, D], best in the sense of least squares."""
  def widened(codes):
    return np.concatenate([codes, np.ones([len(codes), 1], codes.dtype)], axis=1)
  wide = widened(first).astype(np.float64)
  ridge = _MAP_NOISE * np.eye(wide.shape[1])
  solution = np.linalg.solve(wide.T @ wide + ridge, wide.T @ second)
  return lambda codes: (widened(codes) @ solution).astype(np.float32)


def apart(flat: np.ndarray, canonical: np.ndarray) -> float:
  """The mean distance of 2D joints [N, 21, 2] from x and y of 3D joints [N, 21, 3], moved and scaled to them."""
  target = flat - flat.mean(1, keepdims=True)
  seen = canonical[..., :2] - canonical[..., :2].mean(1, keepdims=True)
  scale = np.sqrt((target ** 2).sum((1, 2)) / np.maximum((seen ** 2).sum((1, 2)), 1e-12))
  return float(np.linalg.norm(scale[:, None, None] * seen - target, axis=-1).mean())


def divergences(code: dict) -> list[float]:
  """The mean KL of each dimension, nats."""
  from dhpe_tf.methods.cross_modal_vae import codes
  return codes.kl_to_normal(code['mean'], code['log_variance']).numpy().mean(0).tolist()


def walks(method, code: np.ndarray, batch: dict) -> dict[str, list]:
  """What the limits allow of true hands, of those decoded, along walks, along straight lines, and of random codes.

  Args:
    method: the VAE.
    code: [N, D], of the test hands, those of interp first.
    batch: these hands.

  Returns:
    By kind of hands: their share that is possible, the mean excess of each term, and for walks and lines the largest
    step beside the mean one.
  """
  from dhpe_tf.hand import canonical_hand
  from dhpe_tf.methods.cross_modal_vae import codes
  true = canonical_hand.canonical(batch['joints_3d_m'], batch['joints_3d_weight']).joints.numpy()
  ends = 2 * _WALKS
  decode = method.decoders['joints_3d']
  along = codes.between(code[:_WALKS], code[_WALKS:ends], _WALK_STEPS)
  walked = decode(tf.reshape(along, [-1, method.latent])).numpy().reshape(_WALKS, _WALK_STEPS, 21, 3)
  flat = [tf.reshape(true[part], [_WALKS, -1]) for part in (slice(0, _WALKS), slice(_WALKS, ends))]
  lines = codes.between(*flat, _WALK_STEPS).numpy().reshape(_WALKS, _WALK_STEPS, 21, 3)
  random = decode(tf.random.stateless_normal([_WALKS * _WALK_STEPS, method.latent], [0, 0])).numpy()
  of_none = (possible(true[:ends]), possible(lines) + [jump(lines)])
  of_arms = (possible(decode(code[:ends]).numpy()), possible(walked) + [jump(walked)], possible(random))
  return dict(zip((*_OF_NONE, *_OF_ARMS), (*of_none, *of_arms)))


def possible(hands: np.ndarray) -> list[float]:
  """The share of hands [..., 21, 3] that hardly exceed the limits, and the mean excess of each term and of the size.

  Hardly: each up to 0.05, which is on average 0.05 of the palm's bone for a bone and for the size, or 3 degrees for a
  joint.
  """
  from dhpe_tf.hand import canonical_hand
  from dhpe_tf.losses import biomechanics
  hands = tf.constant(hands.reshape(-1, 21, 3), tf.float32)
  terms = biomechanics.biomechanics(hands)
  excess = np.stack([*(terms[name].numpy() for name in biomechanics.TERMS), canonical_hand.missized(hands).numpy()])
  return [float((excess < _FEASIBLE).all(0).mean()), *map(float, excess.mean(1))]


def jump(hands: np.ndarray) -> float:
  """The largest step of a walk beside its mean one, mean over walks [N, steps, 21, 3]; 1 for even steps."""
  steps = np.linalg.norm(np.diff(hands, axis=1), axis=-1).mean(-1)
  return float((steps.max(1) / np.maximum(steps.mean(1), 1e-12)).mean())


def tables(results: dict[str, list[dict]]) -> str:
  """The tables of all measures, Markdown.

  Args:
    results: arm -> measures of its seeds.
  """
  splits = [name for name in next(iter(results.values()))[0] if name.startswith('mje_')]
  lines = [_row('mean joint error, mm', *(name.split('/')[0][4:] for name in splits)),
           _row(*['---'] * (1 + len(splits)))]
  lines += [_row(name, *(_cell([seed[split] for seed in seeds]) for split in splits))
            for name, seeds in results.items()]
  coded = {name: seeds for name, seeds in results.items() if 'matched_px' in seeds[0]}
  lines += ['', _row('3D over 2D, px of 256', 'of the same code', "of another hand's"), _row('---', '---', '---')]
  lines += [_row(name, *(_cell([seed[key] for seed in seeds]) for key in ('matched_px', 'mismatched_px')))
            for name, seeds in coded.items()]
  whole = {name: seeds for name, seeds in coded.items() if 'kl' in seeds[0]}
  lines += ['', _row('KL by dimension, nats', 'least', 'median', 'most', 'sum', 'below 0.01'), _row(*['---'] * 6)]
  statistics = (np.min, np.median, np.max, np.sum, lambda kl: np.sum(np.array(kl) < 0.01))
  lines += [_row(name, *(_cell([float(of(seed['kl'])) for seed in seeds], '.2f') for of in statistics))
            for name, seeds in whole.items()]
  lines += ['', _row('limits', 'hands', 'possible, %', 'bone lengths', 'palm', 'bends', 'size',
                      'largest / mean step'), _row(*['---'] * 8)]
  of_none = [('no network', kind, seeds) for seeds in list(whole.values())[:1] for kind in _OF_NONE]
  of_arms = [(name, kind, seeds) for name, seeds in whole.items() if 'few' not in name for kind in _OF_ARMS]
  lines += [_row(name, kind, *_feasibility([seed[kind] for seed in seeds])) for name, kind, seeds in of_none + of_arms]
  return '\n'.join(lines) + '\n'


def _feasibility(seeds: list[list]) -> list[str]:
  """The cells of one kind of hands: a share in percent, four kinds of excess, and the jump if there is one."""
  columns = list(zip(*seeds))
  found = [_cell([100 * share for share in columns[0]], '.0f'), *(_cell(term, '.3f') for term in columns[1:5])]
  return [*found, _cell(columns[5], '.2f') if len(columns) > 5 else '']


def _cell(values: list, form: str = '.1f') -> str:
  """Mean and spread."""
  from dhpe_tf.experiments.ablations import spread
  return spread(list(values), form)


def _row(*cells: str) -> str:
  """A row of a Markdown table."""
  return f'| {" | ".join(cells)} |'


if __name__ == '__main__':
  app.run(main)
