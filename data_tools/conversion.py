"""What the converters of public datasets share: flags, resumable conversion of splits, dataset.json."""
import json
import os
from collections.abc import Sequence
from typing import Any, Optional

from absl import flags

import dhpe_tf
from data_tools.readers import base
from dhpe_tf import command_line, files, json_files
from dhpe_tf.errors import UserError

# Pictures for each process; with fewer, starting a process takes longer than it saves.
_WORTH_A_PROCESS = 2000


def define_flags(values: flags.FlagValues, splits: Optional[Sequence[str]] = ('train', 'eval')) -> None:
  """Defines the flags of every converter.

  Args:
    values: receives the flags.
    splits: splits of the dataset; None if other flags determine them.
  """
  flags.DEFINE_string('input', None, 'folder of the dataset as downloaded', flag_values=values)
  flags.DEFINE_string('output', None, 'folder of the record set', flag_values=values)
  flags.DEFINE_list('splits', splits and list(splits), 'splits to convert', flag_values=values)
  command_line.define_shards_flag(values, 16)
  flags.DEFINE_enum('on_error', 'stop', ['stop', 'skip'], 'what to do about a damaged or missing file of one picture',
                    flag_values=values)
  flags.DEFINE_boolean('decode_pictures', False, 'decode each picture, to find damage that the checksums of PNG files '
                       'do not tell, as in JPEG files; a conversion of PNG files takes about twice the time then. '
                       'data_tools.validate decodes all pictures too.', flag_values=values)
  flags.DEFINE_boolean('resume', False, 'leave splits and shards alone that were written whole with the same options',
                       flag_values=values)
  flags.DEFINE_integer('workers', 0, 'processes; 0 for one a core on large datasets', lower_bound=0, upper_bound=1024,
                       flag_values=values)
  flags.DEFINE_boolean('beam', False, 'convert by an Apache Beam pipeline', flag_values=values)
  flags.DEFINE_string('runner', 'DirectRunner', 'with --beam: its runner', flag_values=values)
  flags.DEFINE_list('runner_options', [], 'with --beam: options of the runner, such as --direct_num_workers=2',
                    flag_values=values)
  flags.mark_flags_as_required(['input', 'output'], values)


def convert(reader: base.Reader, values: flags.FlagValues, splits: Optional[Sequence[str]] = None) -> dict[str, int]:
  """Converts the splits that the flags name, and prints a line about each.

  A split appears when it is complete; dataset.json then states source, options, counts and licence.

  Args:
    reader: of the dataset.
    values: parsed flags, see `define_flags`.
    splits: the splits to convert if --splits is not given.

  Returns:
    Number of records by split.

  Raises:
    UserError: a file that the dataset needs is missing or damaged, or records cannot be written.
  """
  from data_tools import shard_jobs  # Imports TensorFlow; command_line.run has silenced it.
  from dhpe_tf.data import tfrecords

  about_path = os.path.join(values.output, tfrecords.DATASET_FILE)
  fresh = _about(reader)
  about = _found_about(about_path, fresh)
  wanted = values.splits or splits
  if not wanted:
    raise UserError('--splits is empty; name at least one, or leave it out for all')
  _check_others(values.output, {*about['counts'], *wanted})
  for split in wanted:
    reader.keys(split)  # Raises if labels of any split are missing, before hours go into another.
  for split in wanted:
    if values.resume and split in about['counts'] and os.path.isdir(tfrecords.split_folder(values.output, split)):
      print(f'{split}: {about["counts"][split]} records are there already')
      continue
    jobs = shard_jobs.SplitJobs(reader, split, values.shards, os.path.join(values.output, f'.Split-{split}.partial'),
                                values.on_error == 'stop', values.decode_pictures)
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
  """Makes the missing shards of a split; adds the remedy to an error.

  Args:
    jobs: `shard_jobs.SplitJobs` of the split.
    values: parsed flags.
  """
  from data_tools import shard_jobs

  pictures = len(jobs.reader.keys(jobs.split))
  workers = values.workers or min(os.cpu_count() or 1, pictures // _WORTH_A_PROCESS)
  try:
    if values.beam:
      shard_jobs.run_with_beam(jobs, values.runner, values.runner_options)
    else:
      shard_jobs.run_here(jobs, min(workers, jobs.shards, pictures))
  except UserError as error:
    if values.on_error != 'stop' or not os.path.isdir(jobs.folder):
      raise
    raise UserError(f'{error} (--on_error=skip leaves such pictures out; --resume goes on with what is done)'
                    ) from error


def _about(reader: base.Reader) -> dict[str, Any]:
  """Returns the content of dataset.json before any split is converted."""
  return {'converter': f'convert_{reader.source}', 'version': dhpe_tf.__version__, 'source': reader.source,
          'licence': reader.licence, 'options': reader.options, 'published_counts': reader.published_counts}


def _found_about(path: str, fresh: dict[str, Any]) -> dict[str, Any]:
  """Reads dataset.json if it was made with the same options; else returns new content without splits.

  Args:
    path: of dataset.json.
    fresh: result of `_about`.
  """
  empty = {**fresh, 'counts': {}, 'skipped': {}}
  try:
    found = json_files.read_object(path)
  except UserError:
    return empty
  whole = isinstance(found.get('counts'), dict) and isinstance(found.get('skipped'), dict)
  same = whole and all(found.get(name) == json.loads(json.dumps(fresh[name]))
                       for name in ('converter', 'version', 'options'))
  return {**empty, 'counts': found['counts'], 'skipped': found['skipped']} if same else empty


def _splits_there(root: str) -> list[str]:
  """Names of the splits in the record set `root`."""
  return [name[len('Split-'):] for name in os.listdir(root) if name.startswith('Split-')] if os.path.isdir(root) else []


def _check_others(root: str, known: set[str]) -> None:
  """Raises a UserError if `root` holds splits with other options that this run does not replace.

  Args:
    root: folder of the record set.
    known: splits made with these options, or about to be.
  """
  others = sorted(set(_splits_there(root)) - known)
  if others:
    raise UserError(f'{root} holds the split {others[0]}, made in another way or with other options; convert it too by '
                    '--splits, or choose another --output')


def _remove_outdated(root: str, made: set[str]) -> None:
  """Removes the splits that are not in `made`: they have other options, and this run replaces them."""
  for split in set(_splits_there(root)) - made:
    files.remove(os.path.join(root, f'Split-{split}'))


def _report(reader: base.Reader, split: str, count: int, skipped: int) -> str:
  """Formats a line about a finished split, with the published count if it differs."""
  published = reader.published_counts.get(split)
  text = f'{split}: {count} records, {skipped} pictures skipped'
  return text if published in (None, count) else f'{text}; published are {published} under these options'
