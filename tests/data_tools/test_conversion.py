"""What holds for all converters, shown on the quickest of them."""
import functools
import json
import os

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from PIL import Image

from data_tools import conversion, shard_jobs
from data_tools.readers import base, photographs
from dhpe_tf import command_line
from dhpe_tf.data import tfrecords
from dhpe_tf.errors import UserError
from dhpe_tf.tasks.hand.record import HAND_RECORD
from tests.data import damage


@pytest.fixture(name='folder')
def _folder(tmp_path):
  """Eleven photographs, of which some go into each split."""
  folder = tmp_path / 'photographs'
  folder.mkdir()
  for i in range(11):
    Image.new('RGB', (20 + i, 16), (20 * i, 0, 0)).save(folder / f'{i:02d}.png')
  return folder


class _Unread(photographs.PhotographsReader):
  """Photographs that are not decoded, as the pictures of most datasets."""

  def read(self, split, key):
    picture = base.read_picture(os.path.join(self._root, key))
    return [{**super().read(split, '00.png')[0], 'image/encoded': picture.data, 'image/id': key}]


def _convert(folder, output, *arguments, side='right', kind=photographs.PhotographsReader):
  """Exit status of a converter of photographs into two splits."""
  values = flags.FlagValues()
  conversion.define_flags(values)

  def main(_):
    conversion.convert(kind(os.fspath(folder), side, .4), values)

  return command_line.call(main, ['convert', f'--input={folder}', f'--output={output}', *arguments], values)


def _records(root, split):
  """Image names by shard."""
  return [[tf.train.Example.FromString(record).features.feature['image/id'].bytes_list.value[0].decode()
           for record in tf.data.TFRecordDataset(path, 'GZIP').as_numpy_iterator()]
          for path in tfrecords.list_shards(str(root), split)]


def _content(root):
  return {os.path.relpath(os.path.join(folder, name), root): open(os.path.join(folder, name), 'rb').read()
          for folder, _, names in os.walk(root) for name in names}


def test_a_number_of_files_without_end_is_refused(folder, tmp_path, capsys):
  # Each of them would be looked for before the first picture is read.
  assert _convert(folder, tmp_path / 'out', f'--shards={10**18}') == 1
  assert '--shards' in capsys.readouterr().err and not (tmp_path / 'out').exists()


def test_a_record_set_with_a_name_of_any_bytes(folder, tmp_path, capsys):
  output = tmp_path / '\udcff'
  assert _convert(folder, output, '--splits=train', '--shards=2') == 0, capsys.readouterr().err
  kept = tfrecords.read(str(output), 'train', HAND_RECORD.schema)
  assert len(list(kept)) == tfrecords.count(str(output), 'train') > 0


def test_an_empty_list_of_splits_is_refused(folder, tmp_path, capsys):
  assert _convert(folder, tmp_path / 'out', '--splits=') == 1
  assert 'error: --splits is empty; name at least one' in capsys.readouterr().err


def test_one_picture_takes_no_further_process(tmp_path, monkeypatch):
  (tmp_path / 'one').mkdir()
  Image.new('RGB', (20, 16)).save(tmp_path / 'one' / 'e.png')
  monkeypatch.setattr(shard_jobs.futures, 'ProcessPoolExecutor', None)
  assert _convert(tmp_path / 'one', tmp_path / 'out', '--splits=train', '--workers=3', '--shards=2') == 0


def test_shards_hold_every_nth_picture(folder, tmp_path):
  assert _convert(folder, tmp_path / 'out', '--shards=3') == 0
  names = photographs.PhotographsReader(folder, eval_fraction=.4).keys('train')
  assert _records(tmp_path / 'out', 'train') == [list(names[i::3]) for i in range(3)]


def test_nothing_but_the_record_set_is_left(folder, tmp_path):
  assert _convert(folder, tmp_path / 'out', '--shards=2') == 0
  assert sorted(os.listdir(tmp_path / 'out')) == ['Split-eval', 'Split-train', 'dataset.json', 'schema.pbtxt']
  assert sorted(os.listdir(tmp_path / 'out' / 'Split-eval')) == [
      'eval-00000-of-00002.tfrecord.gz', 'eval-00001-of-00002.tfrecord.gz', 'statistics.json']
  with open(tmp_path / 'out' / 'Split-train' / 'statistics.json', encoding='utf-8') as file:
    found = json.load(file)
  assert found['count'] == sum(map(len, _records(tmp_path / 'out', 'train')))
  assert sum(found['histograms']['labelled_joints']['counts']) == found['count']


def test_several_processes_give_the_same_bytes(folder, tmp_path):
  assert _convert(folder, tmp_path / 'one', '--splits=train', '--shards=3', '--workers=1') == 0
  assert _convert(folder, tmp_path / 'two', '--splits=train', '--shards=3', '--workers=2') == 0
  assert _content(tmp_path / 'one') == _content(tmp_path / 'two')


def test_beam_gives_the_same_bytes(folder, tmp_path):
  pytest.importorskip('apache_beam')
  assert _convert(folder, tmp_path / 'one', '--shards=3') == 0
  assert _convert(folder, tmp_path / 'two', '--shards=3', '--beam') == 0
  assert _content(tmp_path / 'one') == _content(tmp_path / 'two')


def test_damaged_picture_stops_a_beam_pipeline(folder, tmp_path, capsys):
  pytest.importorskip('apache_beam')
  (folder / '03.png').write_bytes(b'')
  assert _convert(folder, tmp_path / 'out', '--beam') == 1
  assert '03.png' in capsys.readouterr().err.strip().splitlines()[-1]
  assert not (tmp_path / 'out' / 'Split-train').exists() or not (tmp_path / 'out' / 'Split-eval').exists()


def test_without_beam_a_line_says_how_to_get_it(folder, tmp_path, capsys, monkeypatch):
  monkeypatch.setitem(__import__('sys').modules, 'apache_beam', None)
  assert _convert(folder, tmp_path / 'out', '--beam') == 1
  assert 'dhpe_tf[beam]' in capsys.readouterr().err


def test_resumes_at_the_shard_that_stopped_it(folder, tmp_path, capsys):
  names = list(photographs.PhotographsReader(folder, eval_fraction=.4).keys('train'))
  # In the second of the shards.
  damaged = names[1]
  whole = (folder / damaged).read_bytes()
  (folder / damaged).write_bytes(b'')
  arguments = ('--shards=3', '--splits=train')
  assert _convert(folder, tmp_path / 'out', *arguments) == 1
  error = capsys.readouterr().err.strip().splitlines()[-1]
  assert error.startswith('error:') and damaged in error and '--resume' in error
  assert not (tmp_path / 'out' / 'Split-train').exists()
  partial = tmp_path / 'out' / '.Split-train.partial'
  (folder / damaged).write_bytes(whole)
  done = {path: path.stat().st_mtime_ns for path in partial.glob('*.tfrecord.gz')}
  assert done and all(os.path.exists(f'{path}.result.json') for path in done)
  # What a killed process leaves behind does no harm.
  (partial / '.train-00001-of-00003.tfrecord.12345678.tmp.gz').write_bytes(b'half')
  assert _convert(folder, tmp_path / 'out', *arguments, '--resume') == 0
  for path, time in done.items():
    assert (tmp_path / 'out' / 'Split-train' / path.name).stat().st_mtime_ns == time
  assert _convert(folder, tmp_path / 'new', *arguments) == 0
  assert _content(tmp_path / 'out') == _content(tmp_path / 'new')


def test_partial_work_of_other_options_is_not_resumed(folder, tmp_path):
  out = tmp_path / 'out'
  reader = photographs.PhotographsReader(folder, 'left', .4)
  jobs = shard_jobs.SplitJobs(reader, 'train', 2, str(out / '.Split-train.partial'), True)
  jobs.prepare({'options': reader.options}, resume=False)
  jobs.run(0)
  assert jobs.missing() == [1]
  jobs.prepare({'options': reader.options}, resume=True)
  assert jobs.missing() == [1]
  jobs.prepare({'options': {'side': 'right'}}, resume=True)
  assert jobs.missing() == [0, 1]


def test_splits_of_different_options_do_not_mix(folder, tmp_path, capsys):
  out = tmp_path / 'out'
  assert _convert(folder, out) == 0
  assert _convert(folder, out, '--splits=eval', side='left') == 1
  assert 'holds the split train' in capsys.readouterr().err
  assert _convert(folder, out, '--splits=eval') == 0
  # A new set takes the place of the old one split by split; none of the old options is left beside new ones.
  victim = photographs.PhotographsReader(folder, eval_fraction=.4).keys('eval')[0]
  (folder / victim).write_bytes(b'')
  assert _convert(folder, out, side='left') == 1
  assert not (out / 'Split-eval').exists() and (out / 'Split-train').exists()
  assert json.loads((out / 'dataset.json').read_text())['options']['side'] == 'left'


def test_an_old_split_survives_a_failed_new_one(folder, tmp_path):
  assert _convert(folder, tmp_path / 'out') == 0
  before = _content(tmp_path / 'out' / 'Split-train')
  names = photographs.PhotographsReader(folder, eval_fraction=.4).keys('train')
  (folder / names[0]).write_bytes(b'')
  assert _convert(folder, tmp_path / 'out') == 1
  assert _content(tmp_path / 'out' / 'Split-train') == before


def test_skipped_pictures_are_counted_over_all_shards(folder, tmp_path):
  reader = photographs.PhotographsReader(folder, eval_fraction=.4)
  for name in reader.keys('train')[:3]:
    (folder / name).write_bytes(b'')
  count = len(reader.keys('train'))
  assert _convert(folder, tmp_path / 'out', '--on_error=skip', '--shards=2', '--splits=train') == 0
  about = json.loads((tmp_path / 'out' / 'dataset.json').read_text())
  assert about['counts'] == {'train': count - 3} and len(about['skipped']['train']) == 3


def test_output_that_cannot_be_written(folder, tmp_path, capsys):
  (tmp_path / 'file').write_text('')
  assert _convert(folder, tmp_path / 'file' / 'out') == 1
  assert 'cannot write' in capsys.readouterr().err


def test_a_reader_travels_as_its_arguments():
  import pickle
  reader = photographs.PhotographsReader(os.path.dirname(__file__), eval_fraction=.25)
  data = pickle.dumps(reader)
  assert len(data) < 500
  assert pickle.loads(data).options == reader.options
  assert pickle.loads(data) is pickle.loads(data)


def test_base_reader_errors(folder):
  with pytest.raises(UserError):
    list(base.examples(photographs.PhotographsReader(folder), 'nope', base.Skipped(True)))
  assert np.isfinite(base.make_example(base.Picture(b'', 1, 1), 'a', 'left', 's', np.zeros([21, 3]), np.zeros([21, 2]),
                                       np.eye(3))['hand/box_px']).all()
  with pytest.raises(UserError, match='labels.json, entry 3: its labels make hand/joints_3d_m too large for a record'):
    base.make_example(base.Picture(b'', 1, 1), 'a', 'left', 's', np.full([21, 3], 1e39), np.zeros([21, 2]), np.eye(3),
                      place='labels.json, entry 3')


def test_a_disk_too_full_for_a_note_about_it(folder, tmp_path, monkeypatch, capsys):
  def write_shard(path, *unused):
    os.mkdir(path + shard_jobs._FAILURE)  # the note cannot be written
    raise UserError('cannot write: no space left')

  monkeypatch.setattr(tfrecords, 'write_shard', write_shard)
  assert _convert(folder, tmp_path / 'out') == 1
  assert 'error: cannot write: no space left' in capsys.readouterr().err


def test_a_picture_damaged_in_its_middle(folder, tmp_path, capsys):
  """A PNG tells by its checksums; a JPEG must be decoded, which a flag asks for."""
  names = photographs.PhotographsReader(folder, eval_fraction=.4).keys('train')
  (folder / names[1]).write_bytes(damage.flipped(damage.encode('PNG')))
  convert = functools.partial(_convert, folder, kind=_Unread)
  assert convert(tmp_path / 'out', '--splits=train') == 1
  assert f'{folder}/{names[1]}: the picture is damaged or cut off' in capsys.readouterr().err
  (folder / names[1]).unlink()
  (folder / '1.jpg').write_bytes(damage.with_marker(damage.encode('JPEG')))
  split = 'train' if '1.jpg' in photographs.PhotographsReader(folder, eval_fraction=.4).keys('train') else 'eval'
  assert convert(tmp_path / 'out', f'--splits={split}') == 0
  capsys.readouterr()
  assert convert(tmp_path / 'out', f'--splits={split}', '--decode_pictures') == 1
  assert 'photographs, picture 1.jpg: the picture is damaged or cut off' in capsys.readouterr().err
  assert convert(tmp_path / 'out', f'--splits={split}', '--decode_pictures', '--on_error=skip') == 0
  assert '1.jpg' not in sum(_records(tmp_path / 'out', split), [])
