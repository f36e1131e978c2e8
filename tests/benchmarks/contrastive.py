"""Measures contrastive pre-training: trunks from several starts, with few and many labels, and how codes turn.

  python -m data_tools.make_generalisation --output=records/bench --train=2000 --test=200 --image_size=96
  python -m data_tools.make_synthetic --output=records/synthetic --train=4000 --eval=100 --image_size=96 \
    --gin_param="synthesis.HandRenderer.upright = True"
  python -m data_tools.convert_jsonl --labels=photographs/labels.jsonl --output=records/photographs \
    --eval_groups=$(paste -sd, exported/dhpe_hand/held_out_groups.txt) --teacher=NAME
  python -m tests.benchmarks.contrastive --records=records/bench --photographs=records/photographs \
    --synthetic=records/synthetic --output=runs/bench_contrastive

Arms: a random start; SimCLR, pre-trained on pairs of views, of which nothing is undone; PeCLR, on the same pairs, whose
turns and shifts are undone; and, on another trunk, EfficientNet-Lite0, of which alone ImageNet's weights are to be had,
a random start and ImageNet's. Pre-training sees the pictures of the splits train of all three record sets without
labels: half photographs, a quarter each of the others. Its batches are made once, for all arms and seeds.

A trunk is then measured by a linear probe (a ridge regression from its last map, frozen, to the joints; the strength by
leaving one out) and by fine-tuning `direct.build_regressor` with equal steps, each with shares of the labels of bench
and photographs, which are the same for all arms. On the bench the figure is the mean joint error, mm, after moving the
wrist, and on photographs the 2D error in px of a crop of 256: agreement with the labels, which a network made.

Expected beforehand: with few labels PeCLR, then SimCLR, then the random start; with all labels about equal. ImageNet's
start before the random one of its trunk. Turned back, codes of PeCLR of turned pictures are near those of the unturned,
within the trained 45 degrees and, less so, beyond; those of SimCLR are near if they are not turned back.

With --turn=45 --notune --weights=FOLDER, that of an earlier run, hands are probed and tested at any turn up to that.

What is done is kept in the folder of the output, so that a stopped run goes on. --arm=NAME, again and again, picks
arms. Writes table.md and equivariance.png.
"""
import hashlib
import json
import math
import os
import pathlib
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import app, flags
from tqdm import tqdm

from tests.benchmarks import generalisation as bench
from tests.benchmarks import method_flags

_SYNTHETIC = flags.DEFINE_string('synthetic', 'records/synthetic', 'Rendered hands, for the pre-training.')
_SHARES = flags.DEFINE_list('shares', ['0.01', '0.05', '0.1', '1'], 'Shares of the labels.')
_PRE_STEPS = flags.DEFINE_integer('pretraining_steps', 600, 'Steps of a pre-training.', lower_bound=1)
_PRE_BATCH = flags.DEFINE_integer('pretraining_batch', 128, 'Views in its batch.', lower_bound=4)
_PRE_RATE = flags.DEFINE_float('pretraining_rate', 2e-3, 'Its learning rate at the start.')
_POOL = flags.DEFINE_integer('pool', 200, 'Batches of views that are made for it.', lower_bound=1)
_UNDO = flags.DEFINE_list('undo', ['turn', 'shift'], 'What PeCLR undoes.')
_WEIGHTS = flags.DEFINE_string('weights', None, 'Folder of pre-trained weights; that of --output by default.')
_TURN = flags.DEFINE_float('turn', 0., 'Degrees up to which hands of probes and tests are turned; coloured then too.',
                           0., 180.)
_TUNE = flags.DEFINE_bool('tune', True, 'Whether to fine-tune as well as to probe.')
_FLAGS = flags.FLAGS

_PX = 128  # of a crop of 256 px in a crop unit
_NORM_MOMENTUM = 0.95  # of all batch normalisation: short trainings leave little time for slow means
_MOST_FEATURES = 1024  # of a probe
_RIDGES = 10. ** np.arange(-6, 1.5, 0.5)  # times the largest squared singular value
_ANGLES = tuple(range(0, 181, 15))
_TRAINED = 45  # degrees
_TURNED_BACK, _AS_THEY_ARE = 'turned back', 'as they are'
_LITE0 = ("backbone.architecture = 'efficientnet_lite0'",)
_MEAN = 'mean training hand'


class Arm(NamedTuple):
  """A start.

  Attributes:
    settings: bindings of its trunk.
    gin_file: of its pre-training; None for none.
  """

  settings: tuple = ()
  gin_file: str = None


ARMS = {'random start': Arm(), 'SimCLR': Arm(gin_file='methods/simclr.gin'), 'PeCLR': Arm(gin_file='methods/peclr.gin'),
        'lite0, random start': Arm(_LITE0),
        'lite0, ImageNet start': Arm((*_LITE0, "backbone.weights = 'efficientnet_lite0'"))}


def main(argv: list[str]) -> None:
  """Trains what is missing, then prints the tables and writes them and the plot."""
  del argv
  from dhpe_tf.visualization import curves
  os.makedirs(_FLAGS.output, exist_ok=True)
  chosen = [name for name in ARMS if method_flags.is_chosen(name)]
  if not method_flags.PHOTOGRAPHS.value:
    raise SystemExit('--photographs is missing: a record set, made by data_tools.convert_jsonl')
  data = labelled()
  for name in chosen:
    if ARMS[name].gin_file:
      pretrain(name)
  for settings in dict.fromkeys(ARMS[name].settings for name in chosen):
    measure_arms([name for name in chosen if ARMS[name].settings == settings], settings, data)
  results = {name: [json.loads(pathlib.Path(_path(name, seed)).read_text(encoding='utf-8'))
                    for seed in range(_FLAGS.seeds)] for name in chosen}
  text = tables(results)
  with open(os.path.join(_FLAGS.output, 'table.md'), 'w', encoding='utf-8') as file:
    file.write(text)
  print(text)
  found = panels(results)
  if found[_TURNED_BACK]:
    curves.plot_lines(os.path.join(_FLAGS.output, 'equivariance.png'), found, 'turn of the picture, degrees')


def labelled() -> dict[str, dict]:
  """The crops with labels of bench and photographs: 'views', augmented; 'plain' of the training; and 'tests'."""
  from dhpe_tf.tasks.hand.bench import splits
  turned = (f'augmentation.random_view.rotation_deg = {_TURN.value}',) if _TURN.value else ()
  experiment = _load('bench/direct.gin', turned)
  method = experiment.build_method()
  def crops(split, views, records=None):
    return bench.hands_of(experiment.task, method, split, views, records)
  found, once = {}, 1 if turned else 0
  for name, views in (('views', _FLAGS.views), ('plain', once)):
    found[name] = {'bench': crops('train', views), 'photographs': crops('train', views, method_flags.PHOTOGRAPHS.value)}
  found['tests'] = {'bench': bench.joined([crops(split, once) for split in splits.TESTS]),
                    'photographs': crops('eval', once, method_flags.PHOTOGRAPHS.value)}
  return found


def _load(gin_file: str, settings: tuple):
  """The experiment of a file with settings."""
  from dhpe_tf import configuration
  from dhpe_tf.experiment import Experiment
  macro = (f'RECORDS = {_FLAGS.records!r}',) if gin_file.startswith('bench/') else ()
  configuration.load([gin_file], [*macro, *settings])
  return Experiment()


def quicken(method) -> None:
  """Makes the means of all batch normalisation as quick as those of the small trunk."""
  for layer in method.submodules:
    if isinstance(layer, tf.keras.layers.BatchNormalization):
      layer.momentum = _NORM_MOMENTUM


def pool() -> dict[str, np.ndarray]:
  """Batches of pairs of views, one after another, with what `inverse.of_pairs` needs; pictures as uint8."""
  from dhpe_tf.methods.contrastive import views
  path = os.path.join(_FLAGS.output, 'pool.npz')
  if os.path.exists(path):
    with np.load(path) as file:
      return dict(file)
  experiment = _load('methods/peclr.gin', ())
  sources = ((method_flags.PHOTOGRAPHS.value, 'train', 2.), (_FLAGS.records, 'train', 1.),
             (_SYNTHETIC.value, 'train', 1.))
  batches = views.pairs(experiment.task, sources, batch_size=_PRE_BATCH.value, image_size=64).take(_POOL.value)
  parts = []
  for batch in tqdm(batches, desc='views', unit='batch', total=_POOL.value):
    # Labels stay behind: weights of 0 in the loss of the probe.
    kept = {name: np.asarray(value) for name, value in batch.items()
            if name not in ('mask', 'id', 'pose', 'shape', 'landmark_evidence')}
    kept = {name: np.zeros_like(value) if name.endswith('weight') else value for name, value in kept.items()}
    parts.append({**kept, 'image': np.round(255 * kept['image']).astype(np.uint8)})
  found = bench.joined(parts)
  np.savez(path, **found)
  return found


def pretrain(name: str) -> None:
  """Pre-trains an arm where that is missing: keeps its trunk's weights and how its codes turn; likewise at random."""
  missing = [seed for seed in range(_FLAGS.seeds) if not os.path.exists(_weights_path(name, seed))]
  if not missing:
    return
  undo = (f'contrastive.build_model.undo = {tuple(_UNDO.value)!r}',) if name == 'PeCLR' else ()
  views = pool()
  trainer = bench.Trainer(_load(ARMS[name].gin_file, undo), _PRE_STEPS.value, _PRE_RATE.value)
  tests = {key: value[:200] for key, value in np.load(os.path.join(_FLAGS.output, 'crops_interp_0.npz')).items()}
  size = _PRE_BATCH.value

  def rows(random: np.random.Generator, number: int) -> np.ndarray:
    del number
    first = size * random.integers(len(views['image']) // size)
    return np.arange(first, first + size)

  for seed in missing:
    trainer.begin(seed)
    before = equivariance(trainer.method, tests['image'])
    trainer.run({**views, 'id': views['image']}, seed, f'{name}, pre-training, seed {seed}', rows=rows)
    last = trainer.method.test_step(bench.batch_of(views, slice(10 * size)))
    turned = {'random start': before, name: equivariance(trainer.method, tests['image']),
              'found': float(last['found'])}
    arrays = {f'{layer}/{number:03d}': value for layer in ('backbone', 'feature_head')
              for number, value in enumerate(trainer.method.get_layer(layer).get_weights())}
    np.savez(_weights_path(name, seed), turned=json.dumps(turned), **arrays)


def started(name: str, seed: int) -> dict[str, list[np.ndarray]]:
  """The weights that an arm starts from, by layer; none for an arm without pre-training."""
  if not ARMS[name].gin_file:
    return {}
  return bench.started(_weights_path(name, seed))


def equivariance(method, pictures: np.ndarray) -> dict[str, list[float]]:
  """How far codes of turned pictures are from those of the unturned, by angle.

    |R(-a) f(R_a x) - f(x)|, f with length 1 and R about the mean of the points; or without R(-a).

  Args:
    method: a `ContrastiveRegressor`.
    pictures: [N, S, S, 3] uint8.

  Returns:
    The mean over the pictures of 'turned back' and 'as they are' for each angle, and the mean distance between codes of
    'different pictures'.
  """
  from dhpe_tf.geometry import crops
  from dhpe_tf.methods.contrastive import inverse, nt_xent
  count, side = len(pictures), pictures.shape[1]
  whole = crops.Crop(tf.fill([count, 2], side / 2), tf.fill([count], float(side)))

  @tf.function
  def codes(angle: tf.Tensor) -> tf.Tensor:
    turned = crops.extract(tf.constant(pictures), whole, side, tf.fill([count], angle))
    return method.projector(method(turned, training=False)['features'], training=False)

  def apart(one: tf.Tensor, other: tf.Tensor) -> float:
    return float(tf.reduce_mean(tf.norm(nt_xent.normalised(one) - nt_xent.normalised(other), axis=-1)))

  start = codes(tf.constant(0.))
  found = {_TURNED_BACK: [], _AS_THEY_ARE: [], 'different pictures': apart(start, tf.roll(start, count // 2, 0))}
  for degrees in _ANGLES:
    angle = tf.constant(math.radians(degrees))
    points = codes(angle)
    affine = inverse.Affine(tf.fill([count], angle), tf.zeros([count, 2]))
    found[_TURNED_BACK].append(apart(inverse.undone(points, affine, (inverse.TURN,)), start))
    found[_AS_THEY_ARE].append(apart(points, start))
  return found


def measure_arms(names: list[str], settings: tuple, data: dict) -> None:
  """Probes and tunes arms of one trunk; seeds before arms, so that a stopped run has all arms of a seed."""
  missing = [(seed, name) for seed in range(_FLAGS.seeds) for name in names if not os.path.exists(_path(name, seed))]
  if not missing:
    return
  experiment = _load('bench/direct.gin', settings)
  trainer = bench.Trainer(experiment)
  quicken(trainer.method)
  kept = {}
  for seed, name in missing:
    start = started(name, seed)
    trainer.begin(seed, start)
    found = {'probe': probes(experiment.task, trainer.method, seed, data, kept), 'tuned': {}}
    for share in _SHARES.value if _TUNE.value else ():
      hands, rows = few(data['views'], float(share), seed)
      trainer.run(hands, seed, f'{name}, {share} of the labels, seed {seed}', start, rows)
      points = {place: bench.predictions(trainer.method, tests) for place, tests in data['tests'].items()}
      found['tuned'][share] = errors(experiment.task, points, data['tests'])
    if ARMS[name].gin_file:
      with np.load(_weights_path(name, seed)) as file:
        found['turned'] = json.loads(str(file['turned']))
    with open(_path(name, seed), 'w', encoding='utf-8') as file:
      json.dump(found, file, indent=1)


def chosen_rows(hands: dict, share: float, seed: int) -> np.ndarray:
  """Rows of a share of the pictures, all crops of each; the smaller shares of a seed lie in the larger ones."""
  names = np.unique(hands['id'])
  few_names = np.random.default_rng(seed).permutation(names)[:max(round(share * len(names)), 2)]
  return np.flatnonzero(np.isin(hands['id'], few_names))


def few(hands: dict[str, dict], share: float, seed: int):
  """A share of the labelled crops of all places together, and how to draw a batch, of all places alike."""
  parts = [{name: value[chosen_rows(part, share, seed)] for name, value in part.items() if name != 'mask'}
           for part in hands.values()]
  common = set.intersection(*(set(part) for part in parts))
  parts = [{name: part[name] for name in sorted(common)} for part in parts]
  ends = np.cumsum([0, *(len(part['id']) for part in parts)])
  each = _FLAGS.batch // len(parts)

  def rows(random: np.random.Generator, number: int) -> np.ndarray:
    del number
    return np.concatenate([random.integers(low, high, size=each) for low, high in zip(ends, ends[1:])])
  return bench.joined(parts), rows


def errors(task, points: dict[str, dict], tests: dict[str, dict]) -> dict[str, float]:
  """The mean joint error of each split of the bench, mm, after moving the wrist, and 'px' on photographs.

  Args:
    task: the hand task.
    points: predictions of `tests`, both by 'bench' and 'photographs'.
    tests: crops with labels.
  """
  measured = task.measure('hands19', points['bench'], tests['bench']).measures
  found = {name.split('/')[0]: float(value.value) for name, value in measured.items()
           if name.startswith('mje_') and name.endswith(f'/{_FLAGS.alignment}')
           and not name.split('/')[0].endswith(('_low', '_high'))}
  truth = tests['photographs']
  off = np.linalg.norm(points['photographs']['joints_2d'] - truth['joints_2d'], axis=-1)
  return {**found, 'px': float(_PX * np.average(off, weights=truth['joints_2d_weight']))}


def probes(task, method, seed: int, data: dict, kept: dict) -> dict[str, dict]:
  """The errors of a linear probe by share of the labels, and under 'mean' those of the mean hand of all.

  Args:
    task: the hand task.
    method: a `DirectRegressor` with the trunk's weights.
    seed: of the shares.
    data: of `labelled`.
    kept: the maps of trunks that were looked at before, by their weights; this one's are added.
  """
  from dhpe_tf.tasks.hand import predictions
  trunk = method.get_layer('backbone')
  weights = hashlib.sha256(b''.join(value.tobytes() for value in trunk.get_weights())).hexdigest()
  if weights not in kept:
    kept[weights] = [{place: mapped(trunk, hands) for place, hands in data[part].items()}
                     for part in ('plain', 'tests')]
  plain, tests = kept[weights]
  plain = {place: (features, numbers(data['plain'][place])) for place, features in plain.items()}
  place_hand = method.get_layer('to_hand')

  def judged(answer) -> dict[str, float]:
    points = {place: predictions.from_outputs(place_hand(tf.constant(answer(features), tf.float32)), 0)
              for place, features in tests.items()}
    return errors(task, points, data['tests'])

  found = {}
  for share in _SHARES.value:
    rows = {place: chosen_rows(hands, float(share), seed) for place, hands in data['plain'].items()}
    features, targets = (np.concatenate([plain[place][part][rows[place]] for place in plain]) for part in (0, 1))
    found[share] = judged(ridge(features, targets))
  mean = np.concatenate([of_place[1] for of_place in plain.values()]).mean(0)
  found['mean'] = judged(lambda features: np.tile(mean, [len(features), 1]))
  return found


def mapped(trunk: tf.keras.Model, hands: dict) -> np.ndarray:
  """The last map of a trunk, `backbones.backbone`, of all hands as vectors [N, D], D at most `_MOST_FEATURES`.

  Larger maps, such as those of EfficientNet-Lite0, go through a random projection, the same for all arms and seeds.
  """
  parts = [trunk(bench.batch_of(hands, slice(start, start + 256))['image'], training=False)['c5'].numpy()
           for start in range(0, len(hands['id']), 256)]
  features = np.concatenate(parts).reshape(len(hands['id']), -1)
  if features.shape[1] <= _MOST_FEATURES:
    return features
  onto = np.random.default_rng(0).normal(size=[features.shape[1], _MOST_FEATURES]) / features.shape[1] ** 0.5
  return features @ onto.astype(np.float32)


def numbers(hands: dict) -> np.ndarray:
  """The labels as the last layer of direct regression gives them [N, 64]: 21 joints, and the scale's logarithm."""
  from dhpe_tf.methods.direct import regressor
  batch = bench.batch_of({name: value for name, value in hands.items() if name != 'image'}, slice(None))
  scale, _ = regressor.true_scale(batch)
  usual = regressor._USUAL_UNITS_PER_METRE
  joints = hands['joints_3d'].reshape(len(hands['joints_3d']), -1)
  return np.concatenate([joints, np.log(scale.numpy() / usual)[:, None]], axis=1).astype(np.float64)


def ridge(features: np.ndarray, targets: np.ndarray):
  """The affine map from features [N, D] to targets [N, T] of a ridge regression, as a function.

  Features are standardised; the strength is the one of `_RIDGES` with the least squared error where each row is
  predicted from the others.
  """
  mean, spread = features.mean(0), features.std(0) + 1e-6
  target_mean = targets.mean(0)
  x, y = ((features - mean) / spread).astype(np.float64), targets - target_mean
  left, values, _ = np.linalg.svd(x, full_matrices=False)
  inner, squared = left.T @ y, values ** 2
  best, best_error = None, np.inf
  for strength in _RIDGES * squared[0]:
    shrink = squared / (squared + strength)
    leverage = (left ** 2 @ shrink) + 1 / len(x)
    residual = (y - left @ (shrink[:, None] * inner)) / np.maximum(1 - leverage, 1e-6)[:, None]
    error = np.mean(residual ** 2)
    if error < best_error:
      best, best_error = x.T @ (left @ (inner / (squared + strength)[:, None])), error
  return lambda others: (others - mean) / spread @ best + target_mean


def tables(results: dict[str, list[dict]]) -> str:
  """The tables of all measures, Markdown.

  Args:
    results: arm -> measures of its seeds.
  """
  lines = []
  titles = {'mje_interp': 'interp, mm', 'mje_extrap_all': 'extrap_all, mm', 'px': 'photographs, px of 256'}
  for key, title in titles.items():
    for kind in ('probe', 'tuned'):
      shares = list(next(iter(results.values()))[0][kind])
      shares = [share for share in shares if share != 'mean']
      if not shares:
        continue
      lines += ['', _row(f'{kind}: {title}', *(f'{float(share):.0%} of the labels' for share in shares)),
                _row(*['---'] * (1 + len(shares)))]
      lines += [_row(name, *(_cell([seed[kind][share][key] for seed in seeds]) for share in shares))
                for name, seeds in results.items() if set(shares) <= set(seeds[0][kind])]
      seeds = next(iter(results.values()))
      lines += [_row(_MEAN, *[''] * (len(shares) - 1), _cell([seed['probe']['mean'][key] for seed in seeds]))]
  for kind, of_arms in panels(results).items() if turns(results) else ():
    lines += ['', _row(f'codes {kind}, by degrees', *map(str, _ANGLES)), _row(*['---'] * (1 + len(_ANGLES)))]
    lines += [_row(name, *(f'{value:.2f} ± {wide:.2f}' for value, wide in zip(line.y, line.spread)))
              for name, line in of_arms.items()]
  for name, seeds in turns(results).items():
    others = _cell([seed['different pictures'] for seed in seeds], '.2f')
    lines += ['', f'{name}: codes of different pictures are {others} apart.']
    if 'turned' in results.get(name, [{}])[0]:
      found = _cell([100 * seed['turned']['found'] for seed in results[name]])
      lines[-1] += f' Of the views of ten batches, {found}% are nearest to the other one of their picture.'
  return '\n'.join(lines[1:]) + '\n'


def turns(results: dict[str, list[dict]]) -> dict[str, list[dict]]:
  """What `equivariance` found by arm and seed; that of the random start is the one before the first pre-training."""
  known = {name: seeds for name, seeds in results.items() if 'turned' in seeds[0]}
  found = {name: [seed['turned'][name] for seed in seeds] for name, seeds in known.items()}
  for seeds in list(known.values())[:1]:
    found['random start'] = [seed['turned']['random start'] for seed in seeds]
  return found


def panels(results: dict[str, list[dict]]) -> dict[str, dict]:
  """The lines of the plot: kind -> arm -> distances of codes by angle, mean and deviation over the seeds."""
  from dhpe_tf.visualization import curves
  turned, found = turns(results), {}
  for kind in (_TURNED_BACK, _AS_THEY_ARE):
    values = {name: np.array([seed[kind] for seed in seeds]) for name, seeds in turned.items()}
    found[kind] = {name: curves.Line(np.array(_ANGLES), value.mean(0), value.std(0, ddof=min(len(value) - 1, 1)))
                   for name, value in values.items()}
  return found


def _path(name: str, seed: int) -> str:
  """The file of the measures of an arm and a seed."""
  return os.path.join(_FLAGS.output, f'{name}_{seed}.json')


def _weights_path(name: str, seed: int) -> str:
  """The file of the pre-trained weights of an arm and a seed."""
  return os.path.join(_WEIGHTS.value or _FLAGS.output, f'{name}_{seed}.npz')


def _cell(values: list, form: str = '.1f') -> str:
  """Mean and spread."""
  from dhpe_tf.experiments.ablations import spread
  return spread(list(values), form)


def _row(*cells: str) -> str:
  """A row of a Markdown table."""
  return f'| {" | ".join(cells)} |'


if __name__ == '__main__':
  app.run(main)
