"""Checks a record set before a training: schema, counts, labels against each other, and the task's own checks.

  python -m data_tools.validate --records=records/rhd --report=validation.json --sheet=sheet.png

Prints a line for each check and for each problem; the exit status is 1 if there are problems. The sheet shows labels on
pictures, for errors that no check can find.
"""
import os
import sys
from typing import Any, Optional

from absl import flags
from tqdm import tqdm

from data_tools import counts
from dhpe_tf import command_line, files, json_files
from dhpe_tf.errors import UserError

_FLAGS = flags.FlagValues()
flags.DEFINE_string('records', None, 'folder of the record set', flag_values=_FLAGS)
flags.DEFINE_list('splits', None, 'splits to check; all by default', flag_values=_FLAGS)
flags.DEFINE_string('report', None, 'JSON file for findings and numbers', flag_values=_FLAGS)
flags.DEFINE_string('sheet', None, 'PNG file for a sheet of records with their labels drawn', flag_values=_FLAGS)
command_line.define_configuration_flags(_FLAGS)
flags.mark_flags_as_required(['records'], _FLAGS)

TASK_COMMAND = 'validate'  # tasks define further flags for this command
_BATCH = 64
_GROUP = 'group'  # the field that names person or session, in tasks that have one


def main(argv: list[str]) -> None:
  """Checks the record set of --records, prints the results and writes report and sheet.

  Args:
    argv: the program's name and the flags of the task.

  Raises:
    UserError: problems were found, or records are missing or cannot be parsed.
  """
  from dhpe_tf import configuration
  from dhpe_tf.experiment import Experiment

  for path in filter(None, (_FLAGS.report, _FLAGS.sheet)):
    files.check_output(path)
  configuration.load(_FLAGS.gin_file, _FLAGS.gin_param)
  task = Experiment(method=None).task
  options = command_line.task_flags(task.define_flags, 'validate', argv)
  report = validate(task, _FLAGS.records, _FLAGS.splits, options)
  for split, found in report['splits'].items():
    print(f'{split}: {found["count"]} records')
    for title, result in found['checks'].items():
      print(f'  {"FAILED" if result["findings"] else "ok":6}  {title}  {_short(result["numbers"])}'.rstrip())
      for finding in result['findings']:
        print(f'          {finding}')
  for finding in report['findings']:
    print(f'FAILED  {finding}')
  if _FLAGS.report:
    from dhpe_tf.data import tfrecords
    tfrecords.write_json(_FLAGS.report, report)
  if _FLAGS.sheet:
    _draw_sheet(task, 'train' if 'train' in report['splits'] else next(iter(report['splits'])))
  if report['problems']:
    raise UserError(f'{_FLAGS.records}: {report["problems"]} problems, see above')
  print(f'{_FLAGS.records}: no problem found')


def validate(task, root: str, splits: Optional[list[str]] = None, options: Any = None) -> dict[str, Any]:
  """Checks a record set.

  Args:
    task: defines records and checks.
    root: folder of the record set.
    splits: to check; None for all.
    options: parsed flags of the task; None for their defaults.

  Returns:
    `splits` (by name: `count`, and `checks` by title with `findings` and `numbers`), `findings` about the whole set,
    and `problems`, the number of findings.

  Raises:
    UserError: records are missing or cannot be parsed.
  """
  from dhpe_tf.data import tfrecords
  from dhpe_tf.data.checks import SchemaValues
  if splits is None:
    there = os.listdir(root) if os.path.isdir(root) else []
    splits = sorted(name[len('Split-'):] for name in there if name.startswith('Split-')) or ['train']
  place = os.path.join(root, tfrecords.DATASET_FILE)
  about = _about(place)
  set_checks = task.set_checks(about, place)
  groups: dict[str, set[bytes]] = {}
  report: dict[str, Any] = {'records': root, 'about': about, 'splits': {}}
  options = command_line.task_flags(task.define_flags, TASK_COMMAND, ['validate']) if options is None else options
  for split in splits:
    values, checks = SchemaValues(task.record.schema), task.record_checks(about, options)
    groups[split], count = set(), 0
    total = tfrecords.count(root, split)
    with tqdm(total=total, desc=split, unit=' records', file=sys.stderr, mininterval=1, leave=False) as bar:
      for batch in tfrecords.read(root, split, task.record.schema).batch(_BATCH).as_numpy_iterator():
        sound = values.sound_part(batch)
        for check in checks if len(next(iter(sound.values()))) else ():
          check.add(sound)
        for check in set_checks:
          check.add(split, batch)
        groups[split].update(batch[_GROUP].tolist() if _GROUP in batch else ())
        size = len(next(iter(batch.values())))
        count += size
        bar.update(size)
    results = {'number of records': {'findings': counts.findings(split, count, about), 'numbers': {}}}
    results[values.title] = {'findings': values.findings(), 'numbers': {}}
    results.update({check.title: {'findings': check.findings(), 'numbers': check.numbers()} for check in checks})
    report['splits'][split] = {'count': count, 'checks': results}
  report['findings'] = counts.shared_groups(groups) + [line for check in set_checks for line in check.findings()]
  report['problems'] = len(report['findings']) + sum(
      len(result['findings']) for found in report['splits'].values() for result in found['checks'].values())
  return report


def _about(path: str) -> Optional[dict]:
  """Reads dataset.json; None if there is none."""
  if not os.path.lexists(path):
    return None
  found = json_files.read_object(path, 'convert the data again')
  for name in ('counts', 'published_counts', 'skipped', 'options'):
    if found.get(name) is None:
      found.pop(name, None)
    elif not isinstance(found[name], (dict, list) if name == 'skipped' else dict):
      raise UserError(f'{path}: {name} must be a JSON object; convert the data again')
  return found


def _short(numbers: dict[str, Any]) -> str:
  """Formats the numbers that fit on a line."""
  return ', '.join(f'{name} {value}' for name, value in numbers.items() if len(str(value)) < 60)


def _draw_sheet(task, split: str) -> None:
  """Draws the first records of a split, with their labels, to --sheet."""
  from data_tools import view_records
  from dhpe_tf.data import input_pipeline
  dataset = input_pipeline.build_dataset(task, [(_FLAGS.records, split, 1.)], batch_size=1, image_size=160,
                                         training=False)
  print(f'{_FLAGS.sheet}: {view_records.draw_sheet(task, dataset, _FLAGS.sheet)} records of {split}')


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
