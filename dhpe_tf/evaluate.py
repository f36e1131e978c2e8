"""Measures a trained model on records.

  python -m dhpe_tf.evaluate --model_dir=runs/quickstart --data=records/quickstart --split=eval --report=report.json

Writes the report as JSON, a table beside it (.md) and a plot of the PCK curves (.png): 3D errors of keypoints under
three named alignments, 2D errors, mask IoU; in comparison the answer that is always the mean hand of --baseline_split.
"""
from absl import flags

from dhpe_tf import command_line

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
flags.mark_flags_as_required(['model_dir', 'data', 'report'], _FLAGS)


def main(argv: list[str]) -> None:
  """Evaluates."""
  del argv
  import tensorflow as tf

  from dhpe_tf.evaluation import measurements, metric_space, protocols, reports
  from dhpe_tf.training.settings import TrainSettings
  from dhpe_tf.training.trained import load_trained

  for name in _FLAGS.protocols:
    protocols.get(name)
  model = load_trained(_FLAGS.model_dir, _FLAGS.gin_param)
  settings = TrainSettings()
  run = tf.function(lambda images: model(images, training=False),
                    input_signature=[tf.TensorSpec([None, *model.inputs[0].shape[1:]])])
  predictions, labels = measurements.collect(run, settings.records(_FLAGS.data, _FLAGS.split),
                                             f'{_FLAGS.data} {_FLAGS.split}', _FLAGS.limit)
  answers = {'model': predictions}
  if _FLAGS.baseline_split:
    mean = measurements.mean_hand(settings.records(_FLAGS.data, _FLAGS.baseline_split), len(predictions.mask),
                                  f'{_FLAGS.data} {_FLAGS.baseline_split}')
    answers['mean training hand'] = mean
  header = {'model_dir': _FLAGS.model_dir, 'data': _FLAGS.data, 'split': _FLAGS.split, 'images': len(predictions.mask)}
  measured = {name: measurements.measure(answer, labels) for name, answer in answers.items()}
  by_protocol = {protocol: {name: metric_space.evaluate(protocol, answer, labels) for name, answer in answers.items()}
                 for protocol in _FLAGS.protocols}
  reports.write(_FLAGS.report, header, measured, by_protocol)
  print(reports.table(header, measured, by_protocol))


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
