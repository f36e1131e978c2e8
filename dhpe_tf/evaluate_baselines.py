"""Measures what the method is compared with: hands fitted to 2D joints, and 2D joints lifted to 3D.

  python -m dhpe_tf.evaluate_baselines --data=records/synthetic --joints_from=truth \
    --methods=particle_swarm,levenberg_marquardt --report=fits.json
  python -m dhpe_tf.evaluate_baselines --data=records/synthetic --joints_from=runs/quickstart/model \
    --methods=levenberg_marquardt,pose_prior --pose_prior=runs/pose_prior --report=fits.json

The 2D joints and masks that the methods see are the true ones, or those of a trained model, whose own answer is then
measured beside. The report is that of dhpe_tf.evaluate with the processor time that each method took for an image.
"""
import time

from absl import flags

from dhpe_tf import command_line
from dhpe_tf.errors import UserError

TRUTH, LIFTING = 'truth', 'pose_prior'

_FLAGS = flags.FlagValues()
flags.DEFINE_string('data', None, 'Folder of the records, with Split-<name> in it.', flag_values=_FLAGS)
flags.DEFINE_string('split', 'eval', 'Split to measure on.', flag_values=_FLAGS)
flags.DEFINE_list('methods', None, 'Of particle_swarm, levenberg_marquardt, pose_prior.', flag_values=_FLAGS)
flags.DEFINE_string('joints_from', TRUTH, "'truth', or the folder of a training.", flag_values=_FLAGS)
flags.DEFINE_string('pose_prior', '', 'Folder of a training of gin/baselines/pose_prior.gin.', flag_values=_FLAGS)
flags.DEFINE_string('report', None, 'JSON file to write; table and plot get its name.', flag_values=_FLAGS)
flags.DEFINE_integer('limit', None, 'Most images to measure.', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_integer('batch_size', 8, 'Images at once.', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_integer('image_size', 128, 'Side of the crops with --joints_from=truth, px.', lower_bound=16,
                     flag_values=_FLAGS)
flags.DEFINE_multi_string('gin_param', [], 'Setting such as "particle_swarm.particles = 128".', flag_values=_FLAGS)
flags.mark_flags_as_required(['data', 'methods', 'report'], _FLAGS)


def main(argv: list[str]) -> None:
  """Evaluates."""
  del argv
  from dhpe_tf.evaluation import measurements, reports

  lift = _load_lifting()
  evidence_of, batches = _evidence()
  methods = _methods(lift)
  taken = {name: [] for name in methods}

  def run(batch: dict) -> list[dict]:
    evidence, answers = evidence_of(batch)
    for name, method in methods.items():
      if not taken[name]:
        method(evidence)  # the first call makes the graph
      before = time.process_time()
      answers.append(method(evidence))
      answers[-1]['joints_3d'].numpy()
      taken[name].append((time.process_time() - before, len(evidence.joints_2d)))
    return answers

  found, labels = measurements.collect_several(run, batches, f'{_FLAGS.data} {_FLAGS.split}', _FLAGS.limit,
                                               whole_batch=True)
  names = [*(['model'] if len(found) > len(methods) else []), *methods]
  measured = {name: measurements.measure(answer, labels) for name, answer in zip(names, found)}
  if LIFTING in measured:
    measured[LIFTING].update(joints_2d=None, mask=None)  # it answers neither
  cost = {name: 1000 * sum(t for t, _ in times) / sum(n for _, n in times) for name, times in taken.items()}
  header = {'data': _FLAGS.data, 'split': _FLAGS.split, 'joints_from': _FLAGS.joints_from, 'images': len(found[0].mask),
            'processor_ms_per_image': {name: round(value, 2) for name, value in cost.items()}}
  report = reports.Report(header, measured)
  reports.write(_FLAGS.report, report)
  print(reports.table(report))


def _load_lifting():
  """The trained lifting network, or None. Before anything else: loading a training replaces the configuration."""
  from dhpe_tf.baselines import fitting
  from dhpe_tf.training.trained import load_trained

  known = [*fitting.METHODS, LIFTING]
  for name in _FLAGS.methods:
    if name not in known:
      raise UserError(f'--methods: there is no {name!r}; choose of {", ".join(known)}')
  if LIFTING not in _FLAGS.methods:
    return None
  if not _FLAGS.pose_prior:
    raise UserError('--methods=pose_prior: give --pose_prior, the folder of a training of gin/baselines/pose_prior.gin')
  model = load_trained(_FLAGS.pose_prior)
  if not hasattr(model, 'inputs_of'):
    raise UserError(f'--pose_prior={_FLAGS.pose_prior}: this training is of another model')
  return model


def _evidence():
  """What gives a batch's evidence and a list of the model's answer, if there is one; and the batches."""
  import tensorflow as tf

  from dhpe_tf import configuration
  from dhpe_tf.baselines.fitting import Evidence
  from dhpe_tf.data.input_pipeline import build_dataset
  from dhpe_tf.refinement.at_test_time import joint_confidence
  from dhpe_tf.training.settings import TrainSettings
  from dhpe_tf.training.trained import load_trained

  if _FLAGS.joints_from == TRUTH:
    configuration.load(gin_params=_FLAGS.gin_param)
    batches = build_dataset([(_FLAGS.data, _FLAGS.split, 1.)], _FLAGS.batch_size, _FLAGS.image_size, training=False)
    return lambda batch: (Evidence(*(batch[name] for name in (
        'joints_2d', 'joints_2d_weight', 'mask', 'mask_weight'))), []), batches
  model = load_trained(_FLAGS.joints_from, [*_FLAGS.gin_param, f'build_dataset.batch_size = {_FLAGS.batch_size}'])
  if not {'joints_2d_rounds', 'heatmaps', 'mask'} <= set(model.output):
    raise UserError(f'--joints_from={_FLAGS.joints_from}: the model of this training gives no 2D joints and mask')
  estimate = tf.function(lambda images: model(images, training=False), autograph=False, reduce_retracing=True)

  def evidence_of(batch: dict):
    outputs = estimate(batch['image'])
    weight = joint_confidence(tf.reduce_max(outputs['heatmaps'], axis=[1, 2]))
    return Evidence(tf.reduce_mean(outputs['joints_2d_rounds'], axis=1), weight, outputs['mask'],
                    tf.ones(len(weight))), [outputs]
  return evidence_of, TrainSettings().records(_FLAGS.data, _FLAGS.split)


def _methods(lift) -> dict:
  """Name -> function from evidence to the outputs that are measured."""
  import tensorflow as tf

  from dhpe_tf.baselines import canonical, fitting, pose_prior
  from dhpe_tf.hand.hand_model import load_hand_model

  hand_model = load_hand_model()
  bone = canonical.to_canonical(tf.constant(hand_model.rest_keypoints[None], tf.float32)).unit[0]

  @tf.function(reduce_retracing=True, autograph=False)
  def lifted(joints_2d, weight):
    unit = lift({'joints_2d': joints_2d, 'joints_2d_weight': weight}, training=False)['joints_3d']
    placed = pose_prior.place(unit, joints_2d, weight)
    # Its own size is unknown: the index bone is taken to be the mean hand's.
    scale = tf.norm(placed[:, canonical.UNIT[1]] - placed[:, canonical.UNIT[0]], axis=-1) / bone
    camera = tf.pad(scale[:, None], [[0, 0], [4, 3]])
    no_mask = tf.zeros([tf.shape(placed)[0], 8, 8])
    return {'joints_3d': placed, 'joints_2d': joints_2d, 'camera': camera, 'mask': no_mask}

  def answer(evidence):
    return lifted(evidence.joints_2d, evidence.joints_weight)
  return {name: answer if name == LIFTING else fitting.METHODS[name](hand_model) for name in _FLAGS.methods}


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
