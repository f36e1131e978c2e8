"""Converts your own labelled photographs to records.

The labels are one JSON object a line, one hand each:

  {"image": "a/b.jpg", "hand": "right", "joints_2d_px": [[x, y] * 21], ...}

`image` is relative to the file. Joints are the wrist, then thumb, index, middle, ring, little, each from base to tip,
in pixels of the picture (x right, y down). Optional fields: `joints_3d_m` (21 x 3 metres, camera axes, relative to any
point), `group` (person or session; a group is never divided between splits), `score` (0..1), `source`, `intrinsics`
([fx, fy, cx, cy] px; joints_3d_m must then be in camera space), `mask` (a picture, white on the hand), `valid` (21
numbers, 0 where a joint has no label and may be [null, null]). Pixels are those of the upright picture, after its EXIF
orientation is applied.

  python -m data_tools.convert_jsonl --labels=photos/labels.jsonl --output=records/photos --eval_groups=anna,ben

If a network made the labels, name it by --teacher=NAME; the name is written into every record and into dataset.json. A
model that agrees with such labels agrees with its teacher, which is not accuracy.
"""
import collections
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator

from absl import flags
from tqdm import tqdm

from data_tools.readers import jsonl
from dhpe_tf import command_line, files
from dhpe_tf.errors import UserError
from dhpe_tf.tasks.hand import label_lines

_FLAGS = flags.FlagValues()
flags.DEFINE_string('labels', None, 'the .jsonl file', flag_values=_FLAGS)
flags.DEFINE_string('output', None, 'folder of the record set; one that is there already is replaced',
                    flag_values=_FLAGS)
flags.DEFINE_list('eval_groups', None, 'groups held out for the split eval; the others make the split train',
                  flag_values=_FLAGS)
flags.DEFINE_float('eval_fraction', 0.2, 'share of groups held out, chosen by name, where --eval_groups is not given',
                   0., 1., flag_values=_FLAGS)
flags.DEFINE_list('sources', None, 'take only labels whose source holds one of these words', flag_values=_FLAGS)
flags.DEFINE_float('min_score', 0., 'leave out labels with a lower score', flag_values=_FLAGS)
flags.DEFINE_string('teacher', '', 'the network that made the labels, if one did', flag_values=_FLAGS)
flags.DEFINE_enum('on_error', 'stop', ['stop', 'skip'], 'what to do about a label or picture that cannot be used',
                  flag_values=_FLAGS)
command_line.define_shards_flag(_FLAGS, 4)
flags.DEFINE_multi_string('gin_param', [], 'settings such as image_files.decode_image.max_pixels = 200000000',
                          flag_values=_FLAGS)
flags.mark_flags_as_required(['labels', 'output'], _FLAGS)

_MOST_MESSAGES = 10_000  # about labels left out that are kept and printed


def main(argv: list[str]) -> None:
  """Converts the labels of --labels and their pictures to the splits train and eval in --output.

  Raises:
    UserError: no label is left, an unknown group, or, with --on_error=stop, an unusable label or picture.
  """
  del argv
  from dhpe_tf import configuration  # Imports TensorFlow; command_line.run has silenced it.
  from dhpe_tf.data import tfrecords
  from dhpe_tf.tasks.hand.record import HAND_RECORD

  if files.printable(_FLAGS.teacher) != _FLAGS.teacher:
    raise UserError(f'--teacher={_FLAGS.teacher} holds bytes that are no UTF-8; write it otherwise')
  configuration.load([], _FLAGS.gin_param)
  problems = _Problems()
  groups, licences = _survey(problems)
  held_out = set(_FLAGS.eval_groups or jsonl.choose_groups(set(groups), _FLAGS.eval_fraction))
  if held_out - set(groups):
    raise UserError(f'--eval_groups: no label has group {sorted(held_out - set(groups))[0]!r}')
  with tfrecords.whole_record_set(_FLAGS.output) as folder:
    counts = {}
    for split in ('train', 'eval'):
      total = sum(count for group, count in groups.items() if (group in held_out) == (split == 'eval'))
      if total:
        chosen = (label for label in _labels(_Problems()) if (label['group'] in held_out) == (split == 'eval'))
        records = _without(problems, functools.partial(jsonl.to_record, teacher=_FLAGS.teacher),
                           tqdm(chosen, desc=split, unit=' hands', total=total))
        counts[split] = tfrecords.write_split(folder, split, records, HAND_RECORD, _FLAGS.shards)
    tfrecords.write_json(os.path.join(folder, tfrecords.DATASET_FILE), {
        'converter': 'convert_jsonl', 'labels': os.path.basename(_FLAGS.labels), 'teacher': _FLAGS.teacher or None,
        'counts': counts, 'skipped': problems.first, 'eval_groups': sorted(held_out), 'min_score': _FLAGS.min_score,
        'sources': _FLAGS.sources, 'licences': sorted(licences)})
  for problem in problems.first:
    print(f'skipped: {problem}', file=sys.stderr)
  if problems.count > len(problems.first):
    print(f'skipped: {problems.count - len(problems.first)} more', file=sys.stderr)
  print(f'{_FLAGS.output}: ' + ', '.join(f'{count} {split}' for split, count in counts.items())
        + f', {problems.count} skipped')


class _Problems:
  """Messages about labels that cannot be used.

  Attributes:
    first: the first of them.
    count: number of all.
  """

  def __init__(self):
    self.first: list[str] = []
    self.count = 0

  def add(self, message: str) -> None:
    """Counts a message, and keeps it if it is one of the first."""
    self.count += 1
    if len(self.first) < _MOST_MESSAGES:
      self.first.append(message)


def _survey(problems: _Problems) -> tuple[collections.Counter, set[str]]:
  """Counts the labels of each group and gathers the licences; a UserError if no label is left."""
  groups: collections.Counter = collections.Counter()
  licences = set()
  for label in _labels(problems):
    groups[label['group']] += 1
    licences.add(str(label.get('licence', 'not given')))
  if not groups:
    raise UserError(f'{_FLAGS.labels}: no label passes --sources and --min_score')
  return groups, licences


def _labels(problems: _Problems) -> Iterator[dict]:
  """Reads the labels, checked, that pass --sources and --min_score; never all at once, see `read_labels`."""
  return filter(_wanted, _without(problems, label_lines.check, label_lines.read_labels(_FLAGS.labels)))


def _wanted(label: dict) -> bool:
  """Whether a label passes --sources and --min_score."""
  named = not _FLAGS.sources or any(word in str(label.get('source', '')) for word in _FLAGS.sources)
  return named and label['score'] >= _FLAGS.min_score


def _without(problems: _Problems, make: Callable[[dict], dict], labels: Iterable[dict]) -> Iterator[dict]:
  """Yields `make(label)` for each label; an error stops the conversion or, with --on_error=skip, goes to `problems`."""
  for label in labels:
    try:
      made = make(label)
    except UserError as error:
      if _FLAGS.on_error == 'stop':
        raise UserError(f'{error} (--on_error=skip leaves it out)') from error
      problems.add(str(error))
    else:
      yield made


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
