import json
import zipfile

import numpy as np
import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.tasks.hand import submissions


def _hands(count=2):
  rng = np.random.default_rng(0)
  return rng.normal(size=[count, 21, 3]) * .05 + [0, 0, .5], rng.normal(size=[count, 778, 3]) * .05 + [0, 0, .5]


def _pred_json(path):
  with zipfile.ZipFile(path) as archive:
    assert archive.namelist() == ['pred.json']
    return json.loads(archive.read('pred.json'))


def test_freihand_format(tmp_path):
  joints, vertices = _hands()
  submissions.write(tmp_path / 'sent.zip', 'freihand', joints, vertices)
  xyz, verts = _pred_json(tmp_path / 'sent.zip')
  assert len(xyz) == len(verts) == 2
  np.testing.assert_allclose(xyz, joints, atol=1e-6)
  np.testing.assert_allclose(verts, vertices, atol=1e-6)


def test_ho3d_format(tmp_path):
  """MANO's order, and OpenGL axes: z negative before the camera, as the challenge checks."""
  joints, vertices = _hands()
  submissions.write(tmp_path / 'sent.zip', 'ho3d', joints, vertices)
  xyz, verts = (np.array(points) for points in _pred_json(tmp_path / 'sent.zip'))
  np.testing.assert_allclose(verts, vertices * [1, -1, -1], atol=1e-6)
  assert (xyz[..., 2] < 0).all()
  # HO-3D: 0 wrist, 1-3 index, 4-6 middle, 7-9 little, 10-12 ring, 13-15 thumb, then the tips from thumb to little.
  published = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]
  np.testing.assert_allclose(xyz[:, published], joints * [1, -1, -1], atol=1e-6)


@pytest.mark.parametrize('challenge', submissions.FORMATS)
def test_round_trip(tmp_path, challenge):
  sent = _hands()
  submissions.write(tmp_path / 'sent.zip', challenge, *sent)
  for back, points in zip(submissions.read(tmp_path / 'sent.zip', challenge), sent):
    np.testing.assert_allclose(back, points, atol=1e-6)


def test_refuses_bad_predictions(tmp_path):
  joints, vertices = _hands()
  for arguments, message in ((('coco', joints, vertices), 'unknown challenge'),
                             (('ho3d', joints[:, :20], vertices), 'joints_3d_m'),
                             (('ho3d', joints, vertices[:1]), 'vertices_m'),
                             (('ho3d', joints * np.nan, vertices), 'not finite')):
    with pytest.raises(UserError, match=message):
      submissions.write(tmp_path / 'sent.zip', *arguments)
  assert not list(tmp_path.iterdir())


def test_refuses_other_files(tmp_path):
  (tmp_path / 'x.zip').write_bytes(b'nothing')
  with pytest.raises(UserError, match='not a submission'):
    submissions.read(tmp_path / 'x.zip', 'ho3d')
