"""Turns your own photographs with labels into records.

The labels are one JSON object a line, one hand each:

  {"image": "a/b.jpg", "hand": "right", "joints_2d_px": [[x, y] * 21], ...}

`image` is relative to the file; joints are wrist, then thumb, index, middle, ring, little, each from base to tip, in
pixels of the picture (x right, y down). Optional: `joints_3d_m` (21 x 3 metres, camera axes, about any centre), `group`
(person or session; splits never cut one), `score` (0..1), `source`, `intrinsics` ([fx, fy, cx, cy] px; then joints_3d_m
must be in the camera's frame), `mask` (a picture, white on the hand), `valid` (21 numbers, 0 where there is no label).

  python -m data_tools.convert_jsonl --labels=photos/labels.jsonl --output=records/photos --eval_groups=anna,ben
"""
import json
import os
import zlib
from collections.abc import Iterator

import numpy as np
from absl import flags
from tqdm import tqdm

from dhpe_tf import command_line
from dhpe_tf.data import example_schema, image_files, tfrecords
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons

FLAGS = flags.FLAGS
NUM_KEYPOINTS = example_schema.NUM_KEYPOINTS


def define_flags() -> None:
  """Defines this program's flags."""
  flags.DEFINE_string('labels', None, 'the .jsonl file', required=True)
  flags.DEFINE_string('output', None, 'folder of the record set', required=True)
  flags.DEFINE_list('eval_groups', None, 'groups held out for the split eval; the others make the split train')
  flags.DEFINE_float('eval_fraction', 0.2, 'share of groups held out, chosen by name, where --eval_groups is not given')
  flags.DEFINE_list('sources', None, 'take only labels whose source holds one of these words')
  flags.DEFINE_float('min_score', 0., 'leave out labels with a lower score')
  flags.DEFINE_enum('on_error', 'stop', ['stop', 'skip'], 'what to do about a label or picture that cannot be used')
  flags.DEFINE_integer('shards', 4, 'files a split', lower_bound=1)


def main(_) -> None:
  """Converts."""
  labels = [label for label in read_labels(FLAGS.labels) if _wanted(label)]
  if not labels:
    raise UserError(f'{FLAGS.labels}: no label passes --sources and --min_score')
  held_out = set(FLAGS.eval_groups or choose_groups({label['group'] for label in labels}, FLAGS.eval_fraction))
  unknown = held_out - {label['group'] for label in labels}
  if unknown:
    raise UserError(f'--eval_groups: no label has group {sorted(unknown)[0]!r}')
  problems, counts = [], {}
  for split in ('train', 'eval'):
    chosen = [label for label in labels if (label['group'] in held_out) == (split == 'eval')]
    if chosen:
      counts[split] = tfrecords.write_split(FLAGS.output, split, _records(chosen, split, problems), FLAGS.shards)
  for problem in problems:
    print(f'skipped: {problem}')
  tfrecords.write_json(os.path.join(FLAGS.output, tfrecords.DATASET_FILE), {
      'converter': 'convert_jsonl', 'labels': os.path.basename(FLAGS.labels), 'counts': counts,
      'skipped': len(problems), 'eval_groups': sorted(held_out), 'min_score': FLAGS.min_score,
      'sources': FLAGS.sources, 'licences': sorted({label.get('licence', 'not given') for label in labels})})
  print(f'{FLAGS.output}: ' + ', '.join(f'{count} {split}' for split, count in counts.items())
        + f', {len(problems)} skipped')


def read_labels(path: str) -> list[dict]:
  """The labels, each with `group` and with `place`, its file and line.

  Raises:
    UserError: the file cannot be read, or a line is not a JSON object.
  """
  labels = []
  try:
    with open(path, encoding='utf-8') as file:
      for number, line in enumerate(file, 1):
        if line.strip():
          label = json.loads(line)
          if not isinstance(label, dict):
            raise UserError(f'{path}:{number}: not a JSON object')
          label.update(place=f'{path}:{number}', group=str(label.get('group', label.get('image'))),
                       folder=os.path.dirname(path))
          labels.append(label)
  except OSError as error:
    raise UserError(f'{path}: cannot be read ({error.strerror}); check --labels') from error
  except ValueError as error:
    if isinstance(error, UserError):
      raise
    raise UserError(f'{path}:{number}: not JSON ({error})') from error
  return labels


def choose_groups(groups: set[str], fraction: float) -> set[str]:
  """Groups to hold out: a fixed share by a hash of the name, so that a group keeps its side when others are added."""
  return {group for group in groups if zlib.crc32(group.encode()) % 1000 < 1000 * fraction}


def to_record(label: dict) -> dict:
  """The record of one label; see the module's head and `example_schema.FIELDS`.

  Raises:
    UserError: the picture or a label is unusable; names file, line and field.
  """
  place = label['place']
  for name in ('image', 'hand', 'joints_2d_px'):
    if name not in label:
      raise UserError(f'{place}: field {name} is missing')
  path = os.path.join(label['folder'], label['image'])
  encoded, height, width = image_files.read_upright(path)
  valid = _numbers(label, 'valid', (NUM_KEYPOINTS,)) if 'valid' in label else np.ones(NUM_KEYPOINTS)
  record = {
      'image/encoded': encoded, 'image/height': height, 'image/width': width, 'image/id': label['image'],
      'hand/side': label['hand'], 'hand/joints_2d_px': _numbers(label, 'joints_2d_px', (NUM_KEYPOINTS, 2)),
      'hand/joints_2d_valid': valid, 'source': label.get('source', 'jsonl'), 'group': label['group'],
  }
  if 'joints_3d_m' in label:
    joints_3d_m = _numbers(label, 'joints_3d_m', (NUM_KEYPOINTS, 3))
    if 'intrinsics' not in label:
      joints_3d_m = joints_3d_m - joints_3d_m[skeletons.ROOT]
    record.update({'hand/joints_3d_m': joints_3d_m, 'hand/joints_3d_valid': valid})
  if 'intrinsics' in label:
    fx, fy, cx, cy = _numbers(label, 'intrinsics', (4,))
    record['camera/intrinsics'] = [[fx, 0, cx], [0, fy, cy], [0, 0, 1]]
  if 'mask' in label:
    record['mask/encoded'] = image_files.read_bytes(os.path.join(label['folder'], label['mask']))
  if record['hand/side'] not in ('right', 'left'):
    raise UserError(f"{place}: hand is {label['hand']!r}, not 'right' or 'left'")
  return record


def _numbers(label: dict, name: str, shape: tuple) -> np.ndarray:
  """A field as finite numbers of a shape."""
  try:
    array = np.asarray(label[name], np.float64)
  except (TypeError, ValueError) as error:
    raise UserError(f"{label['place']}: {name} holds something that is not a number") from error
  if array.shape != shape:
    raise UserError(f"{label['place']}: {name} has shape {array.shape}, not {shape}")
  if not np.all(np.isfinite(array)):
    raise UserError(f"{label['place']}: {name} holds NaN or infinity; mark such joints by 0 in `valid`")
  return array


def _wanted(label: dict) -> bool:
  """Whether a label passes --sources and --min_score."""
  named = not FLAGS.sources or any(word in str(label.get('source', '')) for word in FLAGS.sources)
  return named and float(label.get('score', 1.)) >= FLAGS.min_score


def _records(labels: list[dict], split: str, problems: list[str]) -> Iterator[dict]:
  """Yields records; appends what was skipped to `problems`."""
  for label in tqdm(labels, desc=split, unit=' hands'):
    try:
      yield to_record(label)
    except UserError as error:
      if FLAGS.on_error == 'stop':
        raise UserError(f'{error} (--on_error=skip leaves it out)') from error
      problems.append(str(error))


if __name__ == '__main__':
  define_flags()
  command_line.run(main)
