import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from data_tools import convert_rhd, validate
from dhpe_tf import command_line
from dhpe_tf.data import image_files, tfrecords
from dhpe_tf.tasks.hand.record import HAND_RECORD
from tests.data import damage
from tests.data import records as made
from tests.data_tools.readers import rhd_files


def _run(*arguments):
  return command_line.call(validate.main, ['validate', *arguments], validate._FLAGS)


@pytest.fixture(scope='module', name='records')
def _records(tmp_path_factory):
  root = tmp_path_factory.mktemp('rhd')
  rhd_files.write(root, (('training', 6), ('evaluation', 2)))
  arguments = ['convert_rhd', f'--input={root}', f'--output={root}/records', '--shards=2']
  assert command_line.call(convert_rhd.main, arguments, convert_rhd._FLAGS) == 0
  return root / 'records'


def _about(records, **changes):
  about = json.loads((records / 'dataset.json').read_text())
  (records / 'dataset.json').write_text(json.dumps({**about, **changes}))
  return about


def test_incomplete_dataset(records, tmp_path, capsys):
  """Eight pictures are no RHD; nothing else is wrong with them."""
  assert _run(f'--records={records}', f'--report={tmp_path}/report.json', f'--sheet={tmp_path}/sheet.png') == 1
  out, error = capsys.readouterr()
  assert '6 records and 0 skipped, but 41258 are published' in out and '2728 are published' in out
  assert error.strip().splitlines()[-1] == f'error: {records}: 2 problems, see above'
  report = json.loads((tmp_path / 'report.json').read_text())
  train = report['splits']['train']
  assert report['problems'] == 2 and train['count'] == 6
  assert train['checks']['2D labels are the projected 3D labels']['numbers']['max_px'] < .01
  assert train['checks']['right hands are right hands']['numbers']['sides'] == {'left': 3, 'right': 3}
  with Image.open(tmp_path / 'sheet.png') as sheet:
    assert sheet.width == 6 * 160


def test_no_problem(records, capsys):
  about = _about(records, published_counts={})
  try:
    assert _run(f'--records={records}', '--splits=train') == 0
    assert 'no problem found' in capsys.readouterr().out
    _about(records, published_counts={}, options={**about['options'], 'first_keypoint': 'wrist'})
    assert _run(f'--records={records}', '--splits=train') == 1
    assert 'keypoint 0 is the wrist: is it?' in capsys.readouterr().out
  finally:
    _about(records, **about)


def test_what_cannot_be_read(records, tmp_path, capsys):
  assert _run(f'--records={tmp_path}/none') == 1
  assert _run(f'--records={records}', '--splits=nope') == 1
  error = capsys.readouterr().err
  assert 'no record set' in error and "no split 'nope'" in error
  about = (records / 'dataset.json').read_text()
  try:
    (records / 'dataset.json').write_text('{')
    assert _run(f'--records={records}') == 1
    assert 'dataset.json: not JSON' in capsys.readouterr().err
  finally:
    (records / 'dataset.json').write_text(about)


def test_schema_of_another_kind(records, capsys):
  schema = (records / 'schema.pbtxt').read_text()
  try:
    (records / 'schema.pbtxt').write_text(schema.replace('hand/side', 'hand/hand'))
    assert _run(f'--records={records}') == 1
    assert 'has no field hand/side' in capsys.readouterr().err
  finally:
    (records / 'schema.pbtxt').write_text(schema)


def test_shard_that_was_cut_off(records, capsys):
  shard = tfrecords.list_shards(str(records), 'train')[0]
  with open(shard, 'rb') as file:
    whole = file.read()
  try:
    with open(shard, 'wb') as file:
      file.write(whole[:-50])
    assert _run(f'--records={records}') == 1
    assert 'damaged or cut off' in capsys.readouterr().err
  finally:
    with open(shard, 'wb') as file:
      file.write(whole)
  assert tf.io.gfile.exists(shard)


def test_records_of_nowhere(tmp_path, capsys):
  """Records without dataset.json are checked all the same."""
  tfrecords.write_split(str(tmp_path / 'r'), 'train', (made.record(i) for i in range(3)), HAND_RECORD, 1)
  assert _run(f'--records={tmp_path}/r') == 1
  assert 'there is no dataset.json' in capsys.readouterr().out


@pytest.mark.parametrize('flag', ['report', 'sheet'])
def test_a_folder_in_the_place_of_a_result_stays(tmp_path, capsys, flag):
  (tmp_path / 'kept' / 'inside').mkdir(parents=True)
  assert _run(f'--records={tmp_path}/none', f'--{flag}={tmp_path}/kept') == 1
  assert 'kept: it is a folder' in capsys.readouterr().err and (tmp_path / 'kept' / 'inside').is_dir()


def test_pictures_damaged_in_their_middle(tmp_path, capsys):
  def damaged(number, change):
    record = made.record(number)
    return {**record, 'image/encoded': change(record['image/encoded'])}
  jpeg = image_files.encode(np.random.default_rng(0).integers(0, 256, [*made.SIZE, 3], np.uint8), 'JPEG')
  tfrecords.write_split(str(tmp_path / 'r'), 'train', [
      made.record(0), damaged(1, damage.flipped), damaged(2, lambda unused: damage.with_marker(jpeg)),
      damaged(3, lambda unused: jpeg)], HAND_RECORD, 1)
  assert _run(f'--records={tmp_path}/r') == 1
  assert 'the picture is damaged or cut off: 2 of 4 records, such as 0001.png, 0002.png' in capsys.readouterr().out


@pytest.mark.parametrize('changes, fault', [
    ({'options': None, 'skipped': None, 'source': None, 'counts': None}, None), ({'options': [1]}, 'options must be'),
    ({'options': {'tip_vertices': 5}}, 'tip_vertices must be a text'),
    ({'options': {'tip_vertices': None, 'parameters': None, 'first_keypoint': None}}, None),
    ({'skipped': 3}, 'skipped must be')])
def test_options_that_are_null_or_of_another_kind(tmp_path, changes, fault, capsys):
  tfrecords.write_split(str(tmp_path), 'train', (made.record(i) for i in range(3)), HAND_RECORD, 1)
  tfrecords.write_json(str(tmp_path / 'dataset.json'), {'source': 'made', 'counts': {'train': 3}, **changes})
  assert _run(f'--records={tmp_path}') == 1
  out, error = capsys.readouterr()
  assert 'hands differ and lie in their pictures' in out if fault is None else fault in error
