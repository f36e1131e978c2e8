"""Measures a trained model on records.

  python -m dhpe_tf.evaluate --model_dir=runs/quickstart --data=records/quickstart --split=eval --report=report.json

Writes the report as JSON, a table beside it (.md) and a plot of the PCK curves (.png): 3D errors of keypoints under
three named alignments, 2D errors, mask IoU; in comparison the answer that is always the mean hand of --baseline_split,
and with --refine_steps=10,50 the model's answers after so many steps of test-time refinement. Images are also measured
by kind: side, occlusion, size, view, near to or far from the hands of --baseline_split. Each of --protocols has a plot
of its own, <report>_<protocol>.png, with published areas under the curve and the runs of --compare.
"""
from absl import flags

from dhpe_tf import command_line
from dhpe_tf.errors import UserError

_FLAGS = flags.FlagValues()
flags.DEFINE_string('model_dir', None, 'Folder of a training.', flag_values=_FLAGS)
flags.DEFINE_string('data', None, 'Folder of the records, with Split-<name> in it.', flag_values=_FLAGS)
flags.DEFINE_string('split', 'eval', 'Split to measure on.', flag_values=_FLAGS)
flags.DEFINE_string('report', None, 'JSON file to write; table and plot get its name.', flag_values=_FLAGS)
flags.DEFINE_string('baseline_split', 'train', 'Split whose mean hand is the comparison; empty for none.',
                    flag_values=_FLAGS)
flags.DEFINE_integer('limit', None, 'Most images to measure.', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_multi_string('gin_param', [], 'Setting changed against the training.', flag_values=_FLAGS)
flags.DEFINE_list('protocols', [], 'Named protocols to measure by as well: crop, zb-rhd, zb-stb, paper-do, freihand, '
                  'ho3d.', flag_values=_FLAGS)
flags.DEFINE_list('refine_steps', [], 'Numbers of steps of refinement to measure as well; the paper takes 50.',
                  flag_values=_FLAGS)
flags.DEFINE_enum('root_depth', 'truth', ['truth', 'fitted'], 'Depth at which the named protocols turn crops into '
                  'metres: the true one, or that at which the predicted hand has its size.', flag_values=_FLAGS)
flags.DEFINE_list('compare', [], 'Reports (.json) of other runs to draw in the same plots.', flag_values=_FLAGS)
flags.mark_flags_as_required(['model_dir', 'data', 'report'], _FLAGS)


def main(argv: list[str]) -> None:
  """Evaluates."""
  del argv
  from dhpe_tf.evaluation import measurements, metric_space, protocols, reports, slices
  from dhpe_tf.training.settings import TrainSettings
  from dhpe_tf.training.trained import load_trained

  steps = _refine_steps()
  for name in _FLAGS.protocols:
    protocols.get(name)
  others = reports.read_curves(_FLAGS.compare)
  model = load_trained(_FLAGS.model_dir, _FLAGS.gin_param)
  settings = TrainSettings()
  found, labels = measurements.collect_several(_answers(model, steps), settings.records(_FLAGS.data, _FLAGS.split),
                                               f'{_FLAGS.data} {_FLAGS.split}', _FLAGS.limit)
  answers = dict(zip(['model', *(f'{number} steps of refinement' for number in steps)], found))
  count = len(found[0].mask)
  training = {}
  if _FLAGS.baseline_split:
    training = measurements.collect_labels(settings.records(_FLAGS.data, _FLAGS.baseline_split),
                                           f'{_FLAGS.data} {_FLAGS.baseline_split}')
    answers['mean training hand'] = measurements.mean_hand(training, count)
  header = {'model_dir': _FLAGS.model_dir, 'data': _FLAGS.data, 'split': _FLAGS.split, 'images': count}
  kinds = slices.assign(labels, training)
  report = reports.Report(
      header, {name: measurements.measure(answer, labels) for name, answer in answers.items()},
      {name: slices.measure(answer, labels, kinds) for name, answer in answers.items()},
      {protocol: {name: metric_space.evaluate(protocol, answer, labels, _FLAGS.root_depth)
                  for name, answer in answers.items()}
       for protocol in _FLAGS.protocols},
      {protocol: {name: metric_space.curves(protocol, answer, labels, measurements.THRESHOLDS_M, _FLAGS.root_depth)
                  for name, answer in answers.items()} for protocol in _FLAGS.protocols})
  reports.write(_FLAGS.report, report, others)
  print(reports.table(report))


def _refine_steps() -> list[int]:
  """The numbers of --refine_steps."""
  try:
    steps = [int(text) for text in _FLAGS.refine_steps]
  except ValueError:
    steps = [0]
  if any(number < 1 for number in steps):
    raise UserError(f'--refine_steps={",".join(_FLAGS.refine_steps)}: they must be whole numbers above zero.')
  return steps


def _answers(model, steps: list[int]):
  """Images -> the model's outputs and those after each number of steps of refinement, as one graph."""
  import tensorflow as tf

  from dhpe_tf.refinement import at_test_time
  if steps and not at_test_time.can_refine(model):
    raise UserError(f'--refine_steps: the model of {_FLAGS.model_dir} has not the parts that refinement needs.')

  def answers(images: tf.Tensor) -> list[dict]:
    return at_test_time.refine_by_steps(model, images, [0, *steps]) if steps else [model(images, training=False)]
  # Nothing in it is Python control flow on tensors.
  return tf.function(answers, input_signature=[tf.TensorSpec([None, *model.inputs[0].shape[1:]])], autograph=False)


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
