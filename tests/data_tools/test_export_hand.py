import numpy as np
import pytest
from PIL import Image

from data_tools import export_hand
from dhpe_tf import command_line
from dhpe_tf.hand.hand_model import load_hand_model


def export(*arguments):
  return command_line.call(export_hand.main, ['export_hand', *arguments], export_hand._FLAGS)


@pytest.mark.parametrize('kind', ['obj', 'ply', 'glb'])
def test_mesh_files_open_elsewhere(tmp_path, kind):
  trimesh = pytest.importorskip('trimesh')
  path = tmp_path / f'hand.{kind}'
  assert export('--gesture=victory', '--side=left', '--shape=1,-0.5', f'--output={path}') == 0
  mesh = trimesh.load(path, process=False, force='mesh')
  assert mesh.vertices.shape == (778, 3) and mesh.is_watertight and mesh.volume > 0
  np.testing.assert_array_equal(mesh.faces, load_hand_model(side='left').closed_faces)


def test_picture_of_random_hands(tmp_path):
  assert export('--gesture=random', '--shape=random', '--count=3', f'--output={tmp_path / "hands.png"}') == 0
  with Image.open(tmp_path / 'hands.png') as picture:
    assert picture.size == (3 * 2 * 160, 160)


def test_one_gesture_on_random_shapes(tmp_path):
  assert export('--shape=random', '--count=2', f'--output={tmp_path / "hands.png"}') == 0
  with Image.open(tmp_path / 'hands.png') as picture:
    assert picture.size == (2 * 2 * 160, 160)


@pytest.mark.parametrize('flag, message', [
    ('--gesture=wave', 'wave is unknown; known: all, random, flat'), ('--shape=a,b', 'numbers with commas'),
    ('--shape=nan', 'within ±100'),
    ('--shape=1e39', 'within ±100'), ('--shape=' + '1,' * 10 + '1', 'up to 10'), ('--hand_model=no.npz', 'no.npz')])
def test_wrong_flags_are_one_line_and_leave_no_file(tmp_path, capsys, flag, message):
  assert export(flag, f'--output={tmp_path / "hand.obj"}') == 1
  error = capsys.readouterr().err
  assert error.startswith('error: ') and message in error and error.count('\n') == 1
  assert not list(tmp_path.iterdir())


def test_unknown_kind_of_file(tmp_path, capsys):
  assert export(f'--output={tmp_path / "hand.fbx"}') == 1
  assert 'must end in .obj' in capsys.readouterr().err


@pytest.mark.parametrize('kind', export_hand.KINDS)
def test_a_folder_in_the_place_of_the_file_stays(tmp_path, capsys, kind):
  (tmp_path / f'hand{kind}' / 'kept').mkdir(parents=True)
  assert export(f'--output={tmp_path / "hand"}{kind}') == 1
  assert f'hand{kind}: it is a folder' in capsys.readouterr().err
  assert (tmp_path / f'hand{kind}' / 'kept').is_dir()
