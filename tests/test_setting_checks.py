"""Values in gin files are checked before anything is built from them."""
from collections.abc import Sequence
from typing import Optional

import gin
import pytest

from dhpe_tf import configuration, setting_checks
from dhpe_tf.errors import UserError


@pytest.fixture(autouse=True)
def _clean():
  yield
  gin.clear_config()


@pytest.mark.parametrize('setting, fault', [
    ("train.epochs = 'many'", "epochs is 'many', but must be a whole number"),
    ('train.epochs = 2.5', 'epochs is 2.5, but must be a whole number'),
    ('train.epochs = ' + '9' * 400, 'train.epochs holds a whole number beyond 2147483647: 999'),
    ("build_dataset.sources = [('a', 'b', 10000000000)]", 'build_dataset.sources holds a whole number beyond'),
    ('train.epochs = True', 'epochs is True'), ('train.epochs = None', 'epochs is None'),
    ('build_dataset.image_size = 1000000', 'image_size is 1000000, but must be from 0 to 4096'),
    ('build_dataset.image_size = -1', 'image_size is -1'), ("build_dataset.image_size = (3, 4)", 'image_size is'),
    ('build_dataset.batch_size = 1000000000', 'batch_size is 1000000000, but must be'),
    ("build_dataset.training = 'no'", 'must be True or False'),
    ("build_dataset.sources = 'records'", 'must be a list of the form'),
    ("build_dataset.sources = [('a', 'train', 'x')]", 'must be a list of the form'),
    ("build_dataset.sources = [3]", 'must be a list of the form'),
    ('A = 1000000\nbuild_dataset.image_size = %A', 'image_size is 1000000')])
def test_wrong_values_are_named(setting, fault, tmp_path):
  (tmp_path / 'a.gin').write_text(setting)
  with pytest.raises(UserError, match=f'^configuration: .*{fault}') as caught:
    configuration.load([str(tmp_path / 'a.gin')])
  assert '\n' not in str(caught.value) and '0x' not in str(caught.value)


def test_a_file_that_includes_itself(tmp_path):
  # Names of their own: gin also looks in the folders of files read before.
  (tmp_path / 'ring_one.gin').write_text("include 'ring_two.gin'")
  (tmp_path / 'ring_two.gin').write_text("include 'ring_one.gin'")
  with pytest.raises(UserError, match='includes .*ring_one.gin, which includes it in turn'):
    configuration.load([str(tmp_path / 'ring_one.gin')])


def test_a_deep_value(tmp_path):
  (tmp_path / 'a.gin').write_text('train.epochs = ' + '(' * 5000 + ')' * 5000)
  with pytest.raises(UserError, match='a.gin'):
    configuration.load([str(tmp_path / 'a.gin')])


@pytest.mark.parametrize('value, expected, fitting', [
    (1, int, True), (1, float, True), (1., int, False), (False, int, False), ('a', str, True),
    (None, Optional[int], True),
    ([1, 2], Sequence[int], True), ([1, 'a'], Sequence[int], False), ((1, 'a'), tuple[int, str], True),
    ((1, 2, 3), tuple[int, ...], True), ((1, 2.5), tuple[int, ...], False), (object(), object, True),
    ((), tuple, True)])
def test_types(value, expected, fitting):
  assert setting_checks.fits(value, expected) == fitting
