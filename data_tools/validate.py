"""Checks a record set before a training does: schema, counts, labels against each other, the hand and the picture.

  python -m data_tools.validate --records=records/rhd --report=validation.json --sheet=sheet.png

Prints a line for each check and what is wrong; exit status 1 if anything is. A look at the sheet shows what no check
can.
"""
import json
import os
import sys
from typing import Any, Optional

import numpy as np
from absl import flags
from tqdm import tqdm

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from data_tools.checks import base, counts
from dhpe_tf import command_line
from dhpe_tf.errors import UserError

_FLAGS = flags.FlagValues()
flags.DEFINE_string('records', None, 'folder of the record set', flag_values=_FLAGS)
flags.DEFINE_list('splits', None, 'splits to check; all by default', flag_values=_FLAGS)
flags.DEFINE_string('report', None, 'JSON file for findings and numbers', flag_values=_FLAGS)
flags.DEFINE_string('sheet', None, 'PNG file for a sheet of records with their labels drawn', flag_values=_FLAGS)
flags.DEFINE_string('hand_model', None, 'MANO_RIGHT.pkl, where pose and shape belong to MANO', flag_values=_FLAGS)
flags.DEFINE_float('tolerance_px', 1., 'largest distance of 2D labels from projected 3D labels', flag_values=_FLAGS)
flags.DEFINE_integer('placement_records', 500, 'pictures a split to check the place of the labels in', lower_bound=0,
                     flag_values=_FLAGS)
flags.mark_flags_as_required(['records'], _FLAGS)
_BATCH = 64


def main(argv: list[str]) -> None:
  """Checks."""
  del argv
  report = validate(_FLAGS.records, _FLAGS.splits, _FLAGS.hand_model, _FLAGS.tolerance_px, _FLAGS.placement_records)
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
    _draw_sheet('train' if 'train' in report['splits'] else next(iter(report['splits'])))
  if report['problems']:
    raise UserError(f'{_FLAGS.records}: {report["problems"]} problems, see above')
  print(f'{_FLAGS.records}: no problem found')


def validate(root: str, splits: Optional[list[str]] = None, model_path: Optional[str] = None, tolerance_px: float = 1.,
             placement_records: int = 500) -> dict[str, Any]:
  """Checks a record set.

  Args:
    root: its folder.
    splits: to check; None for all.
    model_path: hand model of the records' pose and shape where it is not the built-in one.
    tolerance_px: largest distance of 2D labels from projected 3D labels.
    placement_records: number of pictures to check the place of the labels in.

  Returns:
    `splits` (by name: `count` and `checks`, by title `findings` and `numbers`), `findings` on the whole set, and
    `problems`, the number of findings.

  Raises:
    UserError: records are missing or cannot be parsed.
  """
  from dhpe_tf.data import tfrecords
  if splits is None:
    there = os.listdir(root) if os.path.isdir(root) else []
    splits = sorted(name[len('Split-'):] for name in there if name.startswith('Split-')) or ['train']
  about = _about(os.path.join(root, tfrecords.DATASET_FILE))
  groups: dict[str, set[bytes]] = {}
  report: dict[str, Any] = {'records': root, 'about': about, 'splits': {}}
  for split in splits:
    checks = _make_checks(about, model_path, tolerance_px, placement_records)
    groups[split], count, sides = set(), 0, {}
    total = tfrecords.count(root, split)
    bar = tqdm(total=total, desc=split, unit=' records', file=sys.stderr, mininterval=1, leave=False)
    for batch in tfrecords.read(root, split).batch(_BATCH).as_numpy_iterator():
      for check in checks:
        check.add(batch)
      groups[split].update(batch['group'].tolist())
      count += len(batch['image/id'])
      for side, number in zip(*np.unique(batch['hand/side'], return_counts=True)):
        sides[side.decode()] = sides.get(side.decode(), 0) + int(number)
      bar.update(len(batch['image/id']))
    bar.close()
    results = {'numbers of records and sides': {'findings': counts.findings(split, count, sides, about),
                                                'numbers': {'sides': sides}}}
    results.update({check.title: {'findings': check.findings(), 'numbers': check.numbers()} for check in checks})
    report['splits'][split] = {'count': count, 'checks': results}
  report['findings'] = counts.shared_groups(groups)
  report['problems'] = len(report['findings']) + sum(
      len(result['findings']) for found in report['splits'].values() for result in found['checks'].values())
  return report


def _make_checks(about: Optional[dict], model_path: Optional[str], tolerance_px: float,
                 placement_records: int) -> list[base.Check]:
  from data_tools.checks import anatomy, labels, pictures, placement
  from dhpe_tf.hand import hand_model
  options = (about or {}).get('options', {})
  model = hand_model.load_hand_model(model_path)
  if model_path is None and 'MANO' in str(options.get('parameters')):
    model = None
  return [labels.Values(), labels.Projection(tolerance_px), labels.Depth(),
          anatomy.Bones('palm' if options.get('first_keypoint') == 'palm' else 'wrist'), anatomy.Side(),
          anatomy.Parameters(model), pictures.Pictures(), pictures.Masks(), placement.Placement(placement_records)]


def _about(path: str) -> Optional[dict]:
  """The content of dataset.json, None if there is none."""
  try:
    with open(path, encoding='utf-8') as file:
      found = json.load(file)
  except FileNotFoundError:
    return None
  except (OSError, ValueError) as error:
    raise UserError(f'{path} is damaged ({error}); convert the data again') from error
  if not isinstance(found, dict):
    raise UserError(f'{path}: a JSON object was expected; convert the data again')
  return found


def _short(numbers: dict[str, Any]) -> str:
  """The numbers that fit on a line."""
  return ', '.join(f'{name} {value}' for name, value in numbers.items() if len(str(value)) < 60)


def _draw_sheet(split: str) -> None:
  """Draws the first records of a split."""
  from data_tools import view_records
  from dhpe_tf.data import input_pipeline
  from dhpe_tf.visualization import overlay
  dataset = input_pipeline.build_dataset([(_FLAGS.records, split, 1.)], batch_size=1, image_size=160, training=False)
  cells = [view_records.draw_cell(instance) for instance in dataset.unbatch().take(40).as_numpy_iterator()]
  overlay.write_png(_FLAGS.sheet, view_records.sheet(cells, 8))
  print(f'{_FLAGS.sheet}: {len(cells)} records of {split}')


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
