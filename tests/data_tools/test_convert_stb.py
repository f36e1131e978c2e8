from data_tools import convert_stb
from dhpe_tf import command_line
from dhpe_tf.data import tfrecords
from tests.data_tools.readers import stb_files


def _run(*arguments):
  return command_line.call(convert_stb.main, ['convert_stb', *arguments], convert_stb._FLAGS)


def test_converts(tmp_path, capsys):
  stb_files.write(tmp_path, frames=1, pictures=True)
  assert _run(f'--input={tmp_path}', f'--output={tmp_path}/records', '--shards=1') == 0
  assert (tfrecords.count(f'{tmp_path}/records', 'train'), tfrecords.count(f'{tmp_path}/records', 'eval')) == (20, 4)
  assert 'published are 30000' in capsys.readouterr().out


def test_wrong_picture(tmp_path, capsys):
  stb_files.write(tmp_path, frames=2, pictures=False)
  assert _run(f'--input={tmp_path}', f'--output={tmp_path}/records', '--pictures=sk_depth') == 1
  assert '--pictures must be one of bb_left' in capsys.readouterr().err
