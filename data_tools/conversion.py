"""What all converters of public datasets share: flags, progress, dataset.json."""
import json
import os
import sys
from collections.abc import Iterator, Sequence

from absl import flags
from tqdm import tqdm

import dhpe_tf
from data_tools.readers import base
from dhpe_tf.errors import UserError


def define_flags(values: flags.FlagValues, splits: Sequence[str] = ('train', 'eval')) -> None:
  """Defines the flags of every converter.

  Args:
    values: where to define them.
    splits: the splits of the dataset.
  """
  flags.DEFINE_string('input', None, 'folder of the dataset as downloaded', flag_values=values)
  flags.DEFINE_string('output', None, 'folder of the record set', flag_values=values)
  flags.DEFINE_list('splits', list(splits), 'splits to convert', flag_values=values)
  flags.DEFINE_integer('shards', 16, 'files a split', lower_bound=1, flag_values=values)
  flags.DEFINE_enum('on_error', 'stop', ['stop', 'skip'], 'what to do about a damaged or missing file of one picture',
                    flag_values=values)
  flags.DEFINE_boolean('resume', False, 'leave splits alone that were written whole with the same options',
                       flag_values=values)
  flags.mark_flags_as_required(['input', 'output'], values)


def convert(reader: base.Reader, values: flags.FlagValues) -> dict[str, int]:
  """Writes the splits that the flags ask for.

  Each split appears when it is whole; dataset.json then states source, options, counts and licence.

  Args:
    reader: of the dataset.
    values: parsed flags, see `define_flags`.

  Returns:
    Number of records by split.

  Raises:
    UserError: a file that the dataset needs is missing or damaged, or records cannot be written.
  """
  from dhpe_tf.data import tfrecords  # Imports TensorFlow, which command_line.run has silenced by now.

  about_path = os.path.join(values.output, tfrecords.DATASET_FILE)
  about = _read_about(about_path, reader)
  for split in values.splits:
    if values.resume and split in about['counts'] and os.path.isdir(tfrecords.split_folder(values.output, split)):
      print(f'{split}: {about["counts"][split]} records are there already')
      continue
    skipped = base.Skipped(fatal=values.on_error == 'stop')
    # Pictures are compressed already: gzip would take most of the time for a few per cent of the size.
    about['counts'][split] = tfrecords.write_split(values.output, split, _progress(reader, split, skipped),
                                                   values.shards, compression_level=0)
    about['skipped'][split] = skipped.messages
    tfrecords.write_json(about_path, about)
    print(_report(reader, split, about['counts'][split], len(skipped.messages)))
  print(f'{values.output}: written. {reader.licence}')
  return about['counts']


def _progress(reader: base.Reader, split: str, skipped: base.Skipped) -> Iterator[base.Example]:
  """The examples of a split under a progress bar; the remedy is added to what stops it."""
  try:
    yield from tqdm(base.examples(reader, split, skipped), desc=split, unit=' hands', total=len(reader.keys(split)),
                    file=sys.stderr, mininterval=1)
  except UserError as error:
    raise UserError(f'{error} (--on_error=skip leaves such pictures out)') from error


def _read_about(path: str, reader: base.Reader) -> dict:
  """The content of dataset.json: what is there of the same options, or a new one."""
  fresh = {'converter': f'convert_{reader.source}', 'version': dhpe_tf.__version__, 'source': reader.source,
           'licence': reader.licence, 'options': reader.options, 'published_counts': reader.published_counts,
           'counts': {}, 'skipped': {}}
  try:
    with open(path, encoding='utf-8') as file:
      found = json.load(file)
  except (OSError, ValueError):
    return fresh
  same = all(found.get(name) == fresh[name] for name in ('converter', 'version', 'options'))
  return {**fresh, 'counts': found['counts'], 'skipped': found['skipped']} if same else fresh


def _report(reader: base.Reader, split: str, count: int, skipped: int) -> str:
  """One line on a finished split, which says so if the count is not the published one."""
  published = reader.published_counts.get(split)
  text = f'{split}: {count} records, {skipped} pictures skipped'
  return text if published in (None, count) else f'{text}; published are {published} under the default options'
