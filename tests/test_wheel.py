"""The wheel holds all that the installed package reads."""
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PARTS = ['dhpe_tf', 'gin', 'exported', 'setup.py', 'README.md', 'LICENSE', 'NOTICE']


@pytest.fixture(scope='module')
def wheel(tmp_path_factory):
  # A build leaves files beside its sources.
  folder = tmp_path_factory.mktemp('wheel')
  for part in PARTS:
    if (ROOT / part).is_dir():
      shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns('__pycache__', 'node_modules'))
    else:
      shutil.copy(ROOT / part, folder / part)
  subprocess.run([sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps', '--no-build-isolation',
                  '--wheel-dir', folder / 'dist', folder], check=True)
  path, = (folder / 'dist').glob('*.whl')
  with zipfile.ZipFile(path) as archive:
    yield archive


@pytest.mark.slow
@pytest.mark.parametrize('room, inside', [
    ('gin', 'dhpe_tf/gin'), ('exported/dhpe_hand/1', 'dhpe_tf/exported/dhpe_hand/1'),
    ('dhpe_tf/hand/assets', 'dhpe_tf/hand/assets'), ('dhpe_tf/networks/assets', 'dhpe_tf/networks/assets'),
    ('dhpe_tf/demo/page', 'dhpe_tf/demo/page'), ('dhpe_tf/serving/deployment', 'dhpe_tf/serving/deployment')])
def test_all_files_of_a_room_are_in_the_wheel(wheel, room, inside):
  files = [path for path in sorted((ROOT / room).rglob('*')) if path.is_file() and path.suffix != '.md']
  assert files
  for path in files:
    assert wheel.read(f'{inside}/{path.relative_to(ROOT / room).as_posix()}') == path.read_bytes()


@pytest.mark.slow
def test_the_wheel_has_the_program_and_no_tests(wheel):
  names = wheel.namelist()
  program, = (name for name in names if name.endswith('entry_points.txt'))
  assert 'dhpe-predict = dhpe_tf.predict:program' in wheel.read(program).decode()
  assert not [name for name in names if name.startswith(('tests/', 'data_tools/')) or 'node_modules' in name]
