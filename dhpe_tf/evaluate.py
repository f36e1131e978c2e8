"""Measures a method on records.

  python -m dhpe_tf.evaluate --model_dir=runs/quickstart --data=records/quickstart --split=eval --report=report.json
  python -m dhpe_tf.evaluate --gin_file=methods/particle_swarm.gin --data=records/synthetic --report=swarm.json

The method is a trained one (--model_dir), an exported one (--model), or one that needs no training (--gin_file).
Methods that take 2D joints and masks get the labelled ones or, with --evidence, those that another model finds.

Writes the report as JSON, a table beside it (.md) and plots of the curves (.png). The report measures by the task's
default protocol and by each of --protocols. With --ensemble the mean of several trainings' answers is measured too. For
comparison it also measures constant answers, such as the mean hand of --baseline_split, and with --refine_steps=10,50
the method after 10 and after 50 steps of test-time refinement. Further tables measure each kind of image separately,
among them those similar to --baseline_split and those unlike it. The plots also show the runs of --compare.
"""
import functools
import itertools
from collections.abc import Callable

from absl import flags

from dhpe_tf import command_line
from dhpe_tf.errors import UserError

_FLAGS = flags.FlagValues()
flags.DEFINE_string('model_dir', None, 'Folder of a training.', flag_values=_FLAGS)
flags.DEFINE_string('model', None, 'Folder of an export or of one of its versions.', flag_values=_FLAGS)
command_line.define_configuration_flags(_FLAGS)
flags.DEFINE_list('ensemble', [], 'Further trainings; their mean answer with that of --model_dir is measured as well.',
                  flag_values=_FLAGS)
flags.DEFINE_string('evidence', None, 'Export or folder of a training that finds the inputs of the method.',
                    flag_values=_FLAGS)
flags.DEFINE_string('data', None, 'Folder of the records, with Split-<name> in it.', flag_values=_FLAGS)
flags.DEFINE_list('split', ['eval'], 'Split to measure on; of several, one after another.', flag_values=_FLAGS)
flags.DEFINE_string('report', None, 'JSON file to write; table and plots get its name.', flag_values=_FLAGS)
flags.DEFINE_string('baseline_split', 'train', 'Split whose mean is the comparison; empty for none.',
                    flag_values=_FLAGS)
flags.DEFINE_integer('limit', None, 'Most images to measure.', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_integer('batch_size', None, 'Images at once; that of the configuration by default.', lower_bound=1,
                     flag_values=_FLAGS)
flags.DEFINE_list('protocols', [], 'Named protocols to measure by as well; an unknown one lists those there are.',
                  flag_values=_FLAGS)
flags.DEFINE_list('refine_steps', [], 'Numbers of steps of refinement to measure as well; the paper takes 50.',
                  flag_values=_FLAGS)
flags.DEFINE_list('compare', [], 'Reports (.json) of other runs to draw in the same plots.', flag_values=_FLAGS)
flags.mark_flags_as_required(['data', 'report'], _FLAGS)

TASK_COMMAND = 'evaluate'  # tasks define further flags for this command
EVIDENCE = 'evidence'
METHOD = 'model'


def main(argv: list[str]) -> None:
  """Runs the method on the records of --split, measures its answers and writes report, table and plots.

  Args:
    argv: the program's name and the flags of the task.

  Raises:
    UserError: flags that do not fit together, an unknown protocol, or missing records.
  """
  from dhpe_tf.evaluation import collection, reports

  steps = _refine_steps()
  reports.check_path(_FLAGS.report, _FLAGS.compare)
  others = reports.read_curves(_FLAGS.compare)
  experiment, predictor, evidence, others_of_ensemble = _load()
  task = experiment.task
  reports.check_curves(others, task)
  task.prepare((evidence or predictor).card)
  options = command_line.task_flags(task.define_flags, 'evaluate', argv)
  wanted = _protocols(task)
  records = functools.partial(experiment.records, _FLAGS.data, **_changes(evidence or predictor))
  batches = itertools.chain.from_iterable(records(split) for split in _FLAGS.split)
  found = collection.collect(task, _answers(predictor, evidence, steps, others_of_ensemble), batches,
                             f'{_FLAGS.data} {",".join(_FLAGS.split)}', _FLAGS.limit)
  answers, labels, training = _with_ensemble(task, found.predictions), found.labels, {}
  count = len(next(iter(labels.values())))
  if _FLAGS.baseline_split:
    training = collection.collect_labels(task, records(_FLAGS.baseline_split),
                                         f'{_FLAGS.data} {_FLAGS.baseline_split}')
    answers.update(task.constant_answers(training, count))
  kinds = task.slices(labels, training)
  report = reports.Report(
      _header(count, found.processor_ms),
      {protocol: {name: task.measure(protocol, answer, labels, options) for name, answer in answers.items()}
       for protocol in wanted},
      {name: collection.measure_slices(task, answer, labels, kinds) for name, answer in answers.items()})
  reports.write(_FLAGS.report, task, report, others)
  print(reports.table(task, report))


def _load():
  """Returns the experiment, the predictor to measure, that of --evidence or None, and those of --ensemble."""
  from dhpe_tf import configuration
  from dhpe_tf.experiment import Experiment
  from dhpe_tf.inference import predictor as predictors
  from dhpe_tf.training.trained import load_trained

  given = [flag for flag in ('model_dir', 'model') if _FLAGS[flag].value]
  if len(given) > 1 or not (given or _FLAGS.gin_file):
    raise UserError('give one of --model_dir, a training, --model, an export, and --gin_file, a method that needs no '
                    'training.')
  if _FLAGS.ensemble and not _FLAGS.model_dir:
    raise UserError('--ensemble: give its first training as --model_dir.')
  # These come first, because loading a training replaces the gin configuration.
  evidence = predictors.load(_FLAGS.evidence, trace=True) if _FLAGS.evidence else None
  others = [predictors.load(folder, _FLAGS.gin_param, trace=True) for folder in _FLAGS.ensemble]
  if _FLAGS.model_dir:
    experiment, method = load_trained(_FLAGS.model_dir, _FLAGS.gin_param)
    return experiment, predictors.from_method(method), evidence, others
  configuration.load(_FLAGS.gin_file, _FLAGS.gin_param)
  if _FLAGS.model:
    chosen = predictors.load(_FLAGS.model)
    return Experiment(task=lambda: chosen.task, method=None), chosen, evidence, others
  return Experiment(), predictors.from_configuration(), evidence, others


def _protocols(task) -> list[str]:
  """The names of the default protocol and those of --protocols, without repetition."""
  for name in _FLAGS.protocols:
    if name not in task.protocols:
      raise UserError(f'unknown protocol {name!r}; choose one of {", ".join(task.protocols)}')
  return list(dict.fromkeys([task.protocols[0], *_FLAGS.protocols]))


def _changes(predictor) -> dict[str, int]:
  """Arguments of the dataset that override the configuration: the model's own image size, and --batch_size."""
  changes = {} if _FLAGS.batch_size is None else {'batch_size': _FLAGS.batch_size}
  if 'image' in predictor.input_specs:
    changes['image_size'] = predictor.input_specs['image'].shape[1]
  return changes


def _refine_steps() -> list[int]:
  """The numbers of --refine_steps; raises a UserError unless all are whole numbers from 1 to 1000."""
  try:
    steps = [int(text) for text in _FLAGS.refine_steps]
  except ValueError:
    steps = [0]
  if any(not 1 <= number <= 1000 for number in steps):
    raise UserError(f'--refine_steps={",".join(_FLAGS.refine_steps)}: they must be whole numbers from 1 to 1000.')
  return steps


def _with_ensemble(task, predictions: dict) -> dict:
  """The predictions by name, and with --ensemble the mean of the method's and the other trainings'."""
  names = [METHOD, *(_member(number) for number in range(len(_FLAGS.ensemble)))]
  if len(names) == 1:
    return dict(predictions)
  return {**predictions, f'ensemble of {len(names)}': task.ensemble([predictions[name] for name in names])}


def _member(number: int) -> str:
  """Name of the answer of a training of --ensemble, which are counted from 0."""
  return f'{METHOD} {number + 2}'


def _answers(predictor, evidence, steps: list[int], others: list) -> Callable:
  """Returns a function from a batch to outputs by name.

  They are those of the evidence, of the method, of the method refined, and of the other trainings of an ensemble.

  Args:
    predictor: the method to measure.
    evidence: the predictor that finds its inputs, or None.
    steps: numbers of steps of refinement.
    others: predictors of the other trainings; they take what the method takes.

  Raises:
    UserError: `steps` is not empty and the method has no refinement.
  """
  import tensorflow as tf

  from dhpe_tf.methods.method import inputs_of
  if steps and predictor.refined is None:
    raise UserError('--refine_steps: this method has no refinement; leave the flag out.')
  refined = steps and tf.function(lambda inputs: predictor.refined(inputs, [0, *steps]), autograph=False,
                                  reduce_retracing=True)

  def answers(batch: dict) -> dict[str, dict]:
    found = {}
    members = {_member(number): other for number, other in enumerate(others)}
    if evidence:
      found[EVIDENCE] = evidence.answer(inputs_of(batch, evidence.input_specs))
      inputs = predictor.task.evidence(found[EVIDENCE], list(predictor.input_specs))
    else:
      inputs = inputs_of(batch, predictor.input_specs)
    found.update({name: other.answer(inputs_of(inputs, other.input_specs)) for name, other in members.items()})
    if not steps:
      return {METHOD: predictor.answer(inputs), **found}
    names = [METHOD, *(f'{number} steps of refinement' for number in steps)]
    return {**dict(zip(names, refined(inputs))), **found}
  return answers


def _header(count: int, processor_ms) -> dict:
  """First lines of the report: the method, the data, the number of images and the processor time of one."""
  given = {flag: _FLAGS[flag].value for flag in ('model_dir', 'model', 'gin_file', 'evidence', 'ensemble')
           if _FLAGS[flag].value}
  cost = {} if processor_ms is None else {'processor_ms_per_image': round(processor_ms, 2)}
  return {**given, 'data': _FLAGS.data, 'split': ','.join(_FLAGS.split), 'images': count, **cost}


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
