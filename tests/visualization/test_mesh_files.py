import numpy as np
import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.visualization import mesh_files

VERTICES = np.array([[0., 0., 0.], [1., 0., 0.], [0., 1., 0.], [0., 0., 1.]]) * 0.1
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])


def test_obj_read_back_by_another_program(tmp_path):
  trimesh = pytest.importorskip('trimesh')
  mesh_files.write_obj(tmp_path / 'a.obj', VERTICES, FACES, 'a tetrahedron')
  mesh = trimesh.load(tmp_path / 'a.obj', process=False)
  np.testing.assert_allclose(mesh.vertices, VERTICES * [1, -1, -1], atol=1e-7)
  np.testing.assert_array_equal(mesh.faces, FACES)
  assert mesh.is_watertight and mesh.volume > 0


def test_obj_text(tmp_path):
  mesh_files.write_obj(tmp_path / 'a.obj', VERTICES, FACES, 'a tetrahedron')
  lines = (tmp_path / 'a.obj').read_text().splitlines()
  assert lines[1] == '# a tetrahedron' and lines[4] == 'v 0 -0.1 -0' and lines[-1] == 'f 2 3 4'


@pytest.mark.parametrize('vertices, faces, message', [
    (VERTICES * np.nan, FACES, 'not finite'), (VERTICES[:3], FACES, 'faces name vertex 3, there are 3')])
def test_a_broken_mesh_is_not_written(tmp_path, vertices, faces, message):
  with pytest.raises(UserError, match=message):
    mesh_files.write_obj(tmp_path / 'a.obj', vertices, faces)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('colors', [None, np.array([[0, 0, 0], [1, 0.5, 0], [0, 2, 0], [-1, 0, 1.0]])])
def test_ply_read_back_by_another_program(tmp_path, colors):
  trimesh = pytest.importorskip('trimesh')
  mesh_files.write_ply(tmp_path / 'a.ply', VERTICES, FACES, colors, 'a tetrahedron')
  mesh = trimesh.load(tmp_path / 'a.ply', process=False)
  np.testing.assert_allclose(mesh.vertices, VERTICES * [1, -1, -1], atol=1e-7)
  np.testing.assert_array_equal(mesh.faces, FACES)
  if colors is not None:
    expected = [[0, 0, 0], [255, 128, 0], [0, 255, 0], [0, 0, 255]]
    np.testing.assert_array_equal(mesh.visual.vertex_colors[:, :3], expected)
  assert b'comment a tetrahedron\n' in (tmp_path / 'a.ply').read_bytes()
  with pytest.raises(UserError, match='not finite'):
    mesh_files.write_ply(tmp_path / 'b.ply', VERTICES * np.inf, FACES)
