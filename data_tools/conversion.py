"""What all converters of public datasets share: flags, splits in pieces that can be resumed, dataset.json."""
import json
import os
from collections.abc import Sequence
from typing import Any, Optional

from absl import flags

import dhpe_tf
from data_tools.readers import base
from dhpe_tf import files
from dhpe_tf.errors import UserError

# Below this many pictures a process its start takes longer than it saves.
_WORTH_A_PROCESS = 2000


def define_flags(values: flags.FlagValues, splits: Optional[Sequence[str]] = ('train', 'eval')) -> None:
  """Defines the flags of every converter.

  Args:
    values: where to define them.
    splits: the splits of the dataset; None where the other flags tell.
  """
  flags.DEFINE_string('input', None, 'folder of the dataset as downloaded', flag_values=values)
  flags.DEFINE_string('output', None, 'folder of the record set', flag_values=values)
  flags.DEFINE_list('splits', splits and list(splits), 'splits to convert', flag_values=values)
  flags.DEFINE_integer('shards', 16, 'files a split', lower_bound=1, flag_values=values)
  flags.DEFINE_enum('on_error', 'stop', ['stop', 'skip'], 'what to do about a damaged or missing file of one picture',
                    flag_values=values)
  flags.DEFINE_boolean('resume', False, 'leave splits and shards alone that were written whole with the same options',
                       flag_values=values)
  flags.DEFINE_integer('workers', 0, 'processes; 0 for one a core on large datasets', lower_bound=0, flag_values=values)
  flags.DEFINE_boolean('beam', False, 'convert by an Apache Beam pipeline', flag_values=values)
  flags.DEFINE_string('runner', 'DirectRunner', 'with --beam: its runner', flag_values=values)
  flags.DEFINE_list('runner_options', [], 'with --beam: options of the runner, such as --direct_num_workers=2',
                    flag_values=values)
  flags.mark_flags_as_required(['input', 'output'], values)


def convert(reader: base.Reader, values: flags.FlagValues, splits: Optional[Sequence[str]] = None) -> dict[str, int]:
  """Writes the splits that the flags ask for.

  Each split appears when it is whole; dataset.json then states source, options, counts and licence.

  Args:
    reader: of the dataset.
    values: parsed flags, see `define_flags`.
    splits: those there are, where --splits is not given.

  Returns:
    Number of records by split.

  Raises:
    UserError: a file that the dataset needs is missing or damaged, or records cannot be written.
  """
  from data_tools import shard_jobs  # Imports TensorFlow, which command_line.run has silenced by now.
  from dhpe_tf.data import tfrecords

  about_path = os.path.join(values.output, tfrecords.DATASET_FILE)
  fresh = _about(reader)
  about = _found_about(about_path, fresh)
  wanted = values.splits or splits
  _check_others(values.output, {*about['counts'], *wanted})
  for split in wanted:
    if values.resume and split in about['counts'] and os.path.isdir(tfrecords.split_folder(values.output, split)):
      print(f'{split}: {about["counts"][split]} records are there already')
      continue
    jobs = shard_jobs.SplitJobs(reader, split, values.shards, os.path.join(values.output, f'.Split-{split}.partial'),
                                values.on_error == 'stop')
    jobs.prepare(fresh, values.resume)
    _run(jobs, values)
    count, skipped = jobs.finish(values.output)
    _remove_outdated(values.output, {*about['counts'], split})
    about['counts'][split], about['skipped'][split] = count, skipped
    tfrecords.write_json(about_path, about)
    print(_report(reader, split, count, len(skipped)))
  print(f'{values.output}: written. {reader.licence}')
  return about['counts']


def _run(jobs: Any, values: flags.FlagValues) -> None:
  """Makes the shards that are missing; the remedy is added to what stops it."""
  from data_tools import shard_jobs

  pictures = len(jobs.reader.keys(jobs.split))
  workers = values.workers or min(os.cpu_count() or 1, pictures // _WORTH_A_PROCESS)
  try:
    if values.beam:
      shard_jobs.run_with_beam(jobs, values.runner, values.runner_options)
    else:
      shard_jobs.run_here(jobs, min(workers, jobs.shards))
  except UserError as error:
    if values.on_error != 'stop' or not os.path.isdir(jobs.folder):
      raise
    raise UserError(f'{error} (--on_error=skip leaves such pictures out; --resume goes on with what is done)'
                    ) from error


def _about(reader: base.Reader) -> dict[str, Any]:
  """What dataset.json says before anything is converted."""
  return {'converter': f'convert_{reader.source}', 'version': dhpe_tf.__version__, 'source': reader.source,
          'licence': reader.licence, 'options': reader.options, 'published_counts': reader.published_counts}


def _found_about(path: str, fresh: dict[str, Any]) -> dict[str, Any]:
  """The content of dataset.json: what is there of the same options, or a new one."""
  empty = {**fresh, 'counts': {}, 'skipped': {}}
  try:
    with open(path, encoding='utf-8') as file:
      found = json.load(file)
  except (OSError, ValueError):
    return empty
  same = isinstance(found, dict) and all(found.get(name) == json.loads(json.dumps(fresh[name]))
                                         for name in ('converter', 'version', 'options'))
  return {**empty, 'counts': found['counts'], 'skipped': found['skipped']} if same else empty


def _splits_there(root: str) -> list[str]:
  return [name[len('Split-'):] for name in os.listdir(root) if name.startswith('Split-')] if os.path.isdir(root) else []


def _check_others(root: str, known: set[str]) -> None:
  """Refuses to make a record set of splits of different options, since dataset.json can state one set of them."""
  others = sorted(set(_splits_there(root)) - known)
  if others:
    raise UserError(f'{root} holds the split {others[0]}, made in another way or with other options; convert it too by '
                    '--splits, or choose another --output')


def _remove_outdated(root: str, made: set[str]) -> None:
  """Removes splits of other options, which are about to be replaced."""
  for split in set(_splits_there(root)) - made:
    files.remove(os.path.join(root, f'Split-{split}'))


def _report(reader: base.Reader, split: str, count: int, skipped: int) -> str:
  """One line on a finished split, which says so if the count is not the published one."""
  published = reader.published_counts.get(split)
  text = f'{split}: {count} records, {skipped} pictures skipped'
  return text if published in (None, count) else f'{text}; published are {published} under the default options'
