"""Measures what a trained estimator makes of its features.

  python -m tests.benchmarks.features --model_dir=runs/rendered --records=records/synthetic

Prints two tables from held-out instances with masks:

  - the error of the mesh with the features as they are, set to zero, and taken from another picture, while the heat
    maps stay; if the features did not matter, the three would be equal;
  - the change of the features and of the mesh's joints when only the background changes (paper Eq. 2), with the heat
    maps of the new picture and with those of the old one. The features' change is divided by their mean distance
    between two pictures. It is blind to the size of the features, so a small one does not come from small features.

Distances of joints are aligned at the root where they are in mm.
"""
import numpy as np
import tensorflow as tf
from absl import flags

from dhpe_tf import command_line

_FLAGS = flags.FlagValues()
flags.DEFINE_string('model_dir', None, 'Folder of a training of dhpe.', flag_values=_FLAGS)
flags.DEFINE_string('records', 'records/synthetic', 'Folder of the records.', flag_values=_FLAGS)
flags.DEFINE_string('split', 'eval', 'Their split.', flag_values=_FLAGS)
flags.DEFINE_integer('limit', 200, 'Most instances, in whole batches.', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_multi_string('gin_param', [], 'Settings that override those of the training.', flag_values=_FLAGS)
flags.mark_flags_as_required(['model_dir'], _FLAGS)


class Estimators:
  """A model cut behind its networks of 2D evidence: features and heat maps, and the mesh from both."""

  def __init__(self, model: tf.keras.Model):
    """Cuts `model`, a `DhpeModel`."""
    self.objective = model.objective
    evidence = ('features', 'heatmaps', 'heatmap_stages')
    self.evidence = tf.keras.Model(model.inputs, {name: model.output[name] for name in evidence})
    self._lift = tf.keras.Model([model.output['features'], model.output['heatmaps']],
                                {name: value for name, value in model.output.items() if name not in evidence})

  def lift(self, features: tf.Tensor, found: dict) -> dict[str, tf.Tensor]:
    """The outputs of the model for features [B, F] and the heat maps of `found`, evidence of pictures."""
    return {**found, **self._lift([features, found['heatmaps']]), 'features': features}


class Sums:
  """Weighted sums by name, for means over batches."""

  def __init__(self):
    self._sums = {}

  def add(self, name: str, values: tf.Tensor, weights: tf.Tensor) -> None:
    """Adds values [B] with weights [B]."""
    total, weight = self._sums.get(name, (0., 0.))
    self._sums[name] = total + float(tf.reduce_sum(values * weights)), weight + float(tf.reduce_sum(weights))

  def mean(self, name: str) -> float:
    """The weighted mean of all values so far."""
    total, weight = self._sums[name]
    return total / weight if weight else float('nan')


def other_features(features: tf.Tensor) -> dict[str, tf.Tensor]:
  """By name the features [B, F] as they are and what takes their place."""
  return {'as they are': features, 'zero': tf.zeros_like(features), 'of another picture': tf.roll(features, 1, axis=0)}


def on_backgrounds(batch: dict, pool: np.ndarray, random: np.random.Generator) -> dict[str, tf.Tensor]:
  """By name the pictures [B, S, S, 3] with other backgrounds, the hand under its mask as it was.

  Args:
    batch: of the task.
    pool: uint8 [P, S, S, 3], backgrounds.
    random: chooses among them.
  """
  image, mask = batch['image'], batch['mask'][..., None]
  ground = pool[random.integers(len(pool), size=len(image))].astype(np.float32) / 255
  return {'another picture': image * mask + ground * (1 - mask), 'black': image * mask}


def add_errors(sums: Sums, parts: Estimators, batch: dict, found: dict) -> None:
  """Adds the errors of the mesh with each kind of features, and the state of the features."""
  for name, features in other_features(found['features']).items():
    measures = parts.objective.measures(batch, parts.lift(features, found))
    for measure in ('error_3d_mm', 'error_2d_px'):
      sums.add(f'{name} {measure}', *measures[measure])
    if name == 'as they are':
      for measure in ('feature_rms', 'feature_active', 'feature_spread'):
        sums.add(measure, *measures[measure])


def add_changes(sums: Sums, parts: Estimators, batch: dict, found: dict, pictures: dict) -> None:
  """Adds the changes that other backgrounds make; `found` is the evidence in the batch's own pictures."""
  has_mask, features = batch['mask_weight'], found['features']
  before = parts.lift(features, found)
  # The old answer takes the place of the labels.
  labels = {**batch, 'joints_2d': before['joints_2d'], 'joints_3d': before['joints_3d']}
  apart = tf.norm(features - tf.roll(features, 1, axis=0), axis=-1)
  sums.add('apart', apart, tf.ones_like(apart))
  for name, picture in pictures.items():
    now = parts.evidence(picture)
    sums.add(f'{name} features', tf.norm(now['features'] - features, axis=-1), has_mask)
    for kind, maps in (('mesh', now), ('features alone', found)):
      measures = parts.objective.measures(labels, parts.lift(now['features'], maps))
      for measure in ('error_3d_mm', 'error_2d_px'):
        values, weights = measures[measure]
        sums.add(f'{name} {kind} {measure}', values, weights * has_mask)


def measure(model: tf.keras.Model, batches: tf.data.Dataset, limit: int) -> Sums:
  """All means over the first `limit` instances, in whole batches."""
  from dhpe_tf.synthesis.backgrounds import Backgrounds

  parts, sums, random, count = Estimators(model), Sums(), np.random.default_rng(0), 0
  backgrounds, side = Backgrounds(seed=1), model.inputs[0].shape[1]
  pool = np.stack([backgrounds.draw(random, side) for _ in range(64)])
  for batch in batches:
    found = parts.evidence(batch['image'])
    add_errors(sums, parts, batch, found)
    add_changes(sums, parts, batch, found, on_backgrounds(batch, pool, random))
    count += len(batch['image'])
    if count >= limit:
      break
  return sums


def tables(sums: Sums) -> str:
  """Both tables as Markdown."""
  lines = [f'features: rms {sums.mean("feature_rms"):.3f}, active {sums.mean("feature_active"):.1%}, '
           f'spread {sums.mean("feature_spread"):.3f}', '',
           '| features | 3D error, mm | 2D error, px of 256 |', '| --- | --- | --- |']
  lines += [f'| {name} | {sums.mean(f"{name} error_3d_mm"):.1f} | {sums.mean(f"{name} error_2d_px"):.1f} |'
            for name in other_features(tf.zeros([1, 1]))]
  lines += ['', '| background | change of F / distance between pictures | of the mesh, mm | px of 256 | '
            'through F alone, mm | px of 256 |', '| --- | --- | --- | --- | --- | --- |']
  for name in ('another picture', 'black'):
    apart = sums.mean('apart')
    cells = [f'{sums.mean(f"{name} features") / apart:.2f}' if apart else '-']
    cells += [f'{sums.mean(f"{name} {kind} {measure}"):.1f}' for kind in ('mesh', 'features alone')
              for measure in ('error_3d_mm', 'error_2d_px')]
    lines.append(f'| {name} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def main(argv: list[str]) -> None:
  """Loads the training and prints the tables.

  Raises:
    UserError: there is no training of dhpe, or there are no records.
  """
  del argv
  from dhpe_tf.errors import UserError
  from dhpe_tf.methods.dhpe.model import DhpeModel
  from dhpe_tf.training import trained

  experiment, model = trained.load_trained(_FLAGS.model_dir, _FLAGS.gin_param)
  if not isinstance(model, DhpeModel):
    raise UserError(f'{_FLAGS.model_dir}: holds no training of dhpe.build_model; give another --model_dir')
  print(tables(measure(model, experiment.records(_FLAGS.records, _FLAGS.split), _FLAGS.limit)))


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
