import numpy as np
import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons
from dhpe_tf.tasks.hand.bench import submission

NAMES = ['a/0001.png', 'b c.png']
JOINTS = np.random.default_rng(0).uniform(-0.2, 0.9, [2, 21, 3])


def test_results_come_back(tmp_path):
  submission.write(tmp_path / 'results.txt', NAMES, JOINTS)
  names, joints = submission.read(tmp_path / 'results.txt')
  assert names == NAMES
  np.testing.assert_allclose(joints, JOINTS, atol=1e-6)


def test_lines_are_a_name_and_63_millimetres_in_the_order_of_the_challenge(tmp_path):
  submission.write(tmp_path / 'results.txt', NAMES, JOINTS, decimals=1)
  name, *values = (tmp_path / 'results.txt').read_text().splitlines()[1].split('\t')
  assert name == 'b c.png' and len(values) == 63
  millimetres = np.array(values, float).reshape(21, 3)
  for row, joint in ((0, 'wrist'), (3, 'middle1'), (6, 'thumb2'), (8, 'thumb4'), (9, 'index2'), (20, 'little4')):
    np.testing.assert_allclose(millimetres[row], 1000 * JOINTS[1, skeletons.KEYPOINT_NAMES.index(joint)], atol=0.051)


@pytest.mark.parametrize('names, joints, message', [
    (NAMES[:1], JOINTS, r'must be \[1, 21, 3\]'), (NAMES, JOINTS * np.nan, 'not finite'),
    (['a', 'a'], JOINTS, "picture 'a'"), (['a\tb', 'c'], JOINTS, 'without tabs'), (['', 'c'], JOINTS, 'not empty')])
def test_bad_results_are_not_written(tmp_path, names, joints, message):
  with pytest.raises(UserError, match=message):
    submission.write(tmp_path / 'results.txt', names, joints)
  assert not list(tmp_path.iterdir())


ROW = '\t'.join(['1.5'] * 63)


@pytest.mark.parametrize('text, message', [
    ('', 'no line with joints'), (f'a\t{ROW}\nb\t1\t2\n', 'line 2: 2 numbers after the name, not 63'),
    (f'a\t{ROW}\n\na\t{ROW}', 'line 3: picture a was in line 1'), (f'a\t{ROW[:-3]}x', 'line 1: could not convert'),
    (f'a\t{ROW[:-3]}inf', 'line 1: a value is not finite'), (f'a {ROW}', 'line 1: 62 numbers')])
def test_damaged_files_are_named(tmp_path, text, message):
  (tmp_path / 'results.txt').write_text(text)
  with pytest.raises(UserError, match=f'results.txt.*{message}'):
    submission.read(tmp_path / 'results.txt')


def test_a_missing_file_is_named(tmp_path):
  with pytest.raises(UserError, match='missing.txt'):
    submission.read(tmp_path / 'missing.txt')
