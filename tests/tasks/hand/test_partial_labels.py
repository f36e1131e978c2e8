import gin
import numpy as np
import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.tasks.hand import partial_labels
from tests.data import records
from tests.tasks.hand.hands import TASK


@pytest.fixture(autouse=True)
def _clean():
  yield
  gin.clear_config()


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  folder = tmp_path_factory.mktemp('records')
  records.write(folder, 4)
  return records.write(folder, 4, 'others')


def batches(root, count=3, **changes):
  arguments = dict(sources=[(root, 'train', 1.)], batch_size=2, image_size=32, partial=[(root, 'others', 1.)],
                   partial_per_batch=3, training=True, seed=1, epoch=0)
  gin.parse_config('build_dataset.image_size = 32')
  return list(partial_labels.with_partial_labels(TASK, **{**arguments, **changes}).take(count).as_numpy_iterator())


def test_skeletons_follow_the_labelled_hands_without_pictures(root):
  for batch in batches(root):
    assert all(len(value) == 5 for value in batch.values())
    assert np.all(batch['image'].max(axis=(1, 2, 3))[:2] > 0) and not np.any(batch['image'][2:])
    assert np.all(batch['joints_3d_weight'] == 1) and np.all(batch['joints_2d_weight'] == 1)


def test_other_modalities_can_be_hidden(root):
  batch, = batches(root, 1, hidden=('joints_2d',))
  assert not np.any(batch['joints_2d_weight'][2:]) and not np.any(batch['visibility'][2:])
  assert np.all(batch['joints_2d_weight'][:2] == 1) and np.any(batch['image'][2:])
  with pytest.raises(UserError, match="'mesh' is none of"):
    batches(root, 1, hidden=('mesh',))


def test_batches_are_the_same_after_a_stop(root):
  whole, rest = batches(root, 3), batches(root, 1, skip_batches=2)
  for name, value in rest[0].items():
    np.testing.assert_array_equal(value, whole[2][name])


def test_nothing_is_added_to_a_measurement_and_skeletons_must_be_named(root):
  assert sum(len(batch['image']) for batch in batches(root, 9, training=False)) == 4
  with pytest.raises(UserError, match='with_partial_labels.partial is empty'):
    batches(root, partial=())
