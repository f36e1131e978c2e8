import numpy as np
import pytest
from absl import flags
from PIL import Image

from data_tools import export_hand
from dhpe_tf import command_line
from dhpe_tf.hand.hand_model import load_hand_model


@pytest.fixture
def export(monkeypatch):
  """Runs the program with flags of its own."""
  values = flags.FlagValues()
  monkeypatch.setattr(flags, 'FLAGS', values)
  monkeypatch.setattr(export_hand, 'FLAGS', values)
  for kind in ('string', 'enum', 'integer'):
    define = getattr(flags, f'DEFINE_{kind}')
    monkeypatch.setattr(flags, f'DEFINE_{kind}', lambda *a, _define=define, **k: _define(*a, **k, flag_values=values))
  export_hand.define_flags()
  return lambda *argv: command_line.call(export_hand.main, ['export_hand', *argv], values)


@pytest.mark.parametrize('kind', ['obj', 'ply', 'glb'])
def test_mesh_files_open_elsewhere(export, tmp_path, kind):
  trimesh = pytest.importorskip('trimesh')
  path = tmp_path / f'hand.{kind}'
  assert export('--gesture=victory', '--side=left', '--shape=1,-0.5', f'--output={path}') == 0
  mesh = trimesh.load(path, process=False, force='mesh')
  assert mesh.vertices.shape == (778, 3) and mesh.is_watertight and mesh.volume > 0
  np.testing.assert_array_equal(mesh.faces, load_hand_model(side='left').closed_faces)


def test_picture_of_random_hands(export, tmp_path):
  assert export('--gesture=random', '--shape=random', '--count=3', f'--output={tmp_path / "hands.png"}') == 0
  with Image.open(tmp_path / 'hands.png') as picture:
    assert picture.size == (3 * 2 * 160, 160)


def test_one_gesture_on_random_shapes(export, tmp_path):
  assert export('--shape=random', '--count=2', f'--output={tmp_path / "hands.png"}') == 0
  with Image.open(tmp_path / 'hands.png') as picture:
    assert picture.size == (2 * 2 * 160, 160)


@pytest.mark.parametrize('flag, message', [
    ('--gesture=wave', 'wave is unknown; known: all, random, flat'), ('--shape=a,b', 'numbers with commas'),
    ('--shape=nan', 'finite numbers'), ('--shape=' + '1,' * 10 + '1', 'up to 10'), ('--hand_model=no.npz', 'no.npz')])
def test_wrong_flags_are_one_line_and_leave_no_file(export, tmp_path, capsys, flag, message):
  assert export(flag, f'--output={tmp_path / "hand.obj"}') == 1
  error = capsys.readouterr().err
  assert error.startswith('error: ') and message in error and error.count('\n') == 1
  assert not list(tmp_path.iterdir())


def test_unknown_kind_of_file(export, tmp_path, capsys):
  assert export(f'--output={tmp_path / "hand.fbx"}') == 1
  assert 'must end in .obj' in capsys.readouterr().err


@pytest.mark.parametrize('kind', export_hand.KINDS)
def test_a_folder_in_the_place_of_the_file_stays(export, tmp_path, capsys, kind):
  (tmp_path / f'hand{kind}' / 'kept').mkdir(parents=True)
  assert export(f'--output={tmp_path / "hand"}{kind}') == 1
  assert f'hand{kind}: it is a folder' in capsys.readouterr().err
  assert (tmp_path / f'hand{kind}' / 'kept').is_dir()
