"""Compares the gradients of the loss terms on the hand's parameters, to set the weights of a configuration.

  python -m tests.benchmarks.loss_gradients --gin_file=rhd.gin --gin_param="RECORDS = 'records/synthetic'" \
    --records=records/synthetic --fit_steps=0,20,100

For each term of Eq. 7, and with --refinement of Eq. 13, times its weight: its gradient on pose, shape, rotation, scale
and translation (in their own units), as length relative to that of the articulation (of Eq. 13: of the joints), and
cosine with it. Lengths are means over the instances on which both act; the share of the instances on which a term acts
stands beside. Terms that act on the networks alone (heat maps, features) have no gradient there and are left out.

Estimates of an untrained model are far off, where the gate is closed. So they are also taken after --fit_steps steps
toward the true joints (on the articulation), and moved by --noise from there, because what is left of a network's
errors is no minimum of the articulation.
"""
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import flags

from dhpe_tf import command_line

_FLAGS = flags.FlagValues()
flags.DEFINE_multi_string('gin_file', [], 'Configuration of a model without training.', flag_values=_FLAGS)
flags.DEFINE_string('model_dir', None, 'Folder of a training, instead of --gin_file.', flag_values=_FLAGS)
flags.DEFINE_multi_string('gin_param', [], 'Further settings.', flag_values=_FLAGS)
flags.DEFINE_string('records', 'records/synthetic', 'Folder of records with masks.', flag_values=_FLAGS)
flags.DEFINE_string('split', 'eval', 'Their split.', flag_values=_FLAGS)
flags.DEFINE_integer('batches', 2, 'Batches to take.', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_list('fit_steps', ['0', '20', '100'], 'Steps toward the true joints before the gradients are taken.',
                  flag_values=_FLAGS)
flags.DEFINE_float('noise', 0., 'Standard deviation of random changes of the parameters after these steps, in the '
                   'step sizes of the refinement (refinement.step_sizes).', flag_values=_FLAGS)
flags.DEFINE_boolean('refinement', False, 'Eq. 13 of the refinement instead of Eq. 7.', flag_values=_FLAGS)

Terms = dict[str, tf.Tensor]
_LEAST = 1e-12  # a shorter gradient is none


class Gradients(NamedTuple):
  """Gradients [N, 63] of weighted terms by name, and the distance [N] of the mesh's 2D joints, px of 256."""

  terms: dict[str, np.ndarray]
  distance_px: np.ndarray


def training_terms(model: tf.keras.Model, batch: dict, outputs: dict) -> Callable[[tf.Tensor], Terms]:
  """The weighted terms of Eq. 7 that depend on the hand, each [B], as a function of its parameters h [B, 63]."""
  from dhpe_tf.methods.dhpe import objective as objectives

  weights, names = model.objective.weights, ('articulation', 'shape', 'laplacian', 'joint_limits', 'shape_prior',
                                             'parameters')

  def terms(h: tf.Tensor) -> Terms:
    hand = model.hand(h)
    answers = {**outputs, **hand, 'mask': model.silhouette(hand['vertices'])}
    step = objectives.Step(batch, answers, training=False)
    return {name: weights[name] * model.objective.terms[name](step) for name in names if name in weights}
  return terms


def refinement_terms(model: tf.keras.Model, batch: dict, outputs: dict) -> Callable[[tf.Tensor], Terms]:
  """The weighted terms of Eq. 13 by name, each [B], as a function of the parameters h [B, 63]."""
  from dhpe_tf.methods.dhpe.refinement import at_test_time, consistency

  return consistency.Consistency(model, at_test_time.own_evidence(batch['image'], outputs)).terms


def gradients(terms: Callable[[tf.Tensor], Terms], h: tf.Tensor) -> dict[str, np.ndarray]:
  """The gradient [B, 63] of each term at h [B, 63]; zeros where a term does not depend on h."""
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(h)
    found = terms(h)
  zero = tf.UnconnectedGradients.ZERO
  return {name: tape.gradient(value, h, unconnected_gradients=zero).numpy() for name, value in found.items()}


def fitted(model: tf.keras.Model, batch: dict, outputs: dict, steps: int) -> tf.Tensor:
  """The model's parameters [B, 63] after `steps` steps of descent on the articulation alone."""
  from dhpe_tf.methods.dhpe.objective import Step
  from dhpe_tf.methods.dhpe.refinement import at_test_time
  from dhpe_tf.optimization import descent

  def distance(h: tf.Tensor) -> tf.Tensor:
    return model.objective.terms['articulation'](Step(batch, {**outputs, **model.hand(h)}, training=False))
  return descent.descend(distance, outputs['parameters'], steps, at_test_time.step_sizes(), patience=steps + 1).best


def measure(model: tf.keras.Model, batches: list[dict], fit_steps: int, refinement: bool,
            noise: float = 0.) -> Gradients:
  """The gradients of all terms on all instances of the batches, after steps and noise as of the flags."""
  from dhpe_tf.methods.dhpe.refinement import at_test_time

  unit = noise * tf.constant(at_test_time.step_sizes())
  parts, distances = [], []
  for number, batch in enumerate(batches):
    outputs = model(batch['image'], training=False)
    terms = (refinement_terms if refinement else training_terms)(model, batch, outputs)
    h = fitted(model, batch, outputs, fit_steps)
    h += unit * tf.random.stateless_normal(tf.shape(h), [number, 1])
    parts.append(gradients(terms, h))
    measures = model.objective.measures(batch, {**outputs, **model.hand(h)})
    distances.append(measures['error_2d_px'][0].numpy())
  return Gradients({name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
                   np.concatenate(distances))


def comparison(gradient: np.ndarray, reference: np.ndarray) -> tuple[float, float]:
  """Mean length of gradients [N, P] relative to that of the references [N, P], and their mean cosine.

  Means are over the rows in which both are longer than zero; NaN without any.
  """
  lengths, references = np.linalg.norm(gradient, axis=1), np.linalg.norm(reference, axis=1)
  both = (lengths > _LEAST) & (references > _LEAST)
  if not np.any(both):
    return float('nan'), float('nan')
  cosines = np.sum(gradient * reference, axis=1)[both] / (lengths * references)[both]
  return lengths[both].mean() / references[both].mean(), cosines.mean()


def table(found: Gradients, reference: str) -> str:
  """A Markdown table: a row for each term, for each part of h the ratio to the reference and the cosine."""
  from dhpe_tf.hand import parameters

  names = parameters.HandParameters._fields
  parts = (parameters.POSE, parameters.SHAPE, parameters.ROTATION, parameters.SCALE, parameters.TRANSLATION)
  lines = [f'| term | acts on | {" | ".join(names)} |', f'| {" | ".join(["---"] * 7)} |']
  base = found.terms[reference]
  lengths = [f'{np.linalg.norm(base[:, part], axis=1).mean():.2g}' for part in parts]
  lines.append(f'| {reference}, length | {np.mean(np.any(base, axis=1)):.0%} | {" | ".join(lengths)} |')
  for name, gradient in found.terms.items():
    if name == reference:
      continue
    acts = np.mean(np.linalg.norm(gradient, axis=1) > _LEAST)
    cells = ['{:.2g} ({:+.2f})'.format(*comparison(gradient[:, part], base[:, part])) for part in parts]
    lines.append(f'| {name} | {acts:.0%} | {" | ".join(cells)} |'.replace('nan (+nan)', '-'))
  return '\n'.join(lines)


def main(argv: list[str]) -> None:
  """Prints a table for each number of steps.

  Raises:
    UserError: neither or both of --gin_file and --model_dir, another method than dhpe's, or no records.
  """
  del argv
  from dhpe_tf import configuration
  from dhpe_tf.errors import UserError
  from dhpe_tf.experiment import Experiment
  from dhpe_tf.methods.dhpe.model import DhpeModel
  from dhpe_tf.training import trained

  if bool(_FLAGS.gin_file) == bool(_FLAGS.model_dir):
    raise UserError('give either --gin_file or --model_dir')
  if _FLAGS.model_dir:
    experiment, model = trained.load_trained(_FLAGS.model_dir, _FLAGS.gin_param)
  else:
    configuration.load(_FLAGS.gin_file, _FLAGS.gin_param)
    experiment = Experiment()
    model = experiment.build_method()
  if not isinstance(model, DhpeModel):
    raise UserError('the configuration builds another method than dhpe.build_model; give another one')
  batches = list(experiment.records(_FLAGS.records, _FLAGS.split).take(_FLAGS.batches))
  for steps in _FLAGS.fit_steps:
    found = measure(model, batches, int(steps), _FLAGS.refinement, _FLAGS.noise)
    print(f'after {steps} steps, noise {_FLAGS.noise}, 2D joints {found.distance_px.mean():.1f} px of 256 off, '
          f'{len(found.distance_px)} instances:\n\n{table(found, "joints" if _FLAGS.refinement else "articulation")}\n')


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
