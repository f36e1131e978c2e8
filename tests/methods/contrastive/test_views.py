import itertools
import re

import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.data import tfrecords
from dhpe_tf.errors import UserError
from dhpe_tf.methods.contrastive import inverse, views
from dhpe_tf.tasks.hand.record import HAND_RECORD
from tests.data import records
from tests.tasks.hand.hands import TASK

WINDOW = 5


@pytest.fixture(scope='module')
def sources(tmp_path_factory):
  """Forty frames of a video, with two hands in each tenth, and ten single pictures."""
  root = str(tmp_path_factory.mktemp('records'))
  names = [f'room/2_pic{number:05d}_{hand}.jpg' for number in range(40) for hand in range(1 + (number % 10 == 0))]
  names += [f'IMG_{number}.jpg' for number in range(100, 110)]
  made = ({**records.record(number), 'image/id': name} for number, name in enumerate(names))
  tfrecords.write_split(root, 'train', made, HAND_RECORD, shards=1)
  return ((root, 'train', 1.),)


def batches(sources, count=1, **settings):
  given = {'batch_size': 12, 'image_size': 32, 'window': WINDOW, 'training': True, **settings}
  return list(views.pairs(TASK, sources, **given).take(count).as_numpy_iterator())


def test_rows_are_two_views_of_a_picture_with_what_was_done_to_each(sources):
  batch, = batches(sources)
  assert batch['image'].shape == (12, 32, 32, 3)
  names = batch['id'].reshape(-1, 2)
  assert np.all(names[:, 0] == names[:, 1]) and len(set(names[:, 0])) == 6
  turns = batch['crop_turn'].reshape(-1, 2)
  assert np.all(turns[:, 0] != turns[:, 1])
  affine = inverse.of_pairs(batch)
  # The labels tell whether the parameters are true: both views' joints, undone, are the same ones.
  back = tf.constant(batch['joints_2d']) - affine.shift[:, None]
  side = batch['crop_side_px'][:, None, None]
  back = (inverse.undone(back, affine._replace(shift=tf.zeros_like(affine.shift))) * side).numpy()
  # Turned about their own mean, so compare them about it.
  back = (back - back.mean(1, keepdims=True)).reshape(-1, 2, 21, 2)
  np.testing.assert_allclose(back[:, 0], back[:, 1], rtol=1e-3, atol=1e-2)


def test_a_batch_has_one_frame_of_a_short_window_of_a_video(sources):
  seen = set()
  for batch in batches(sources, 20):
    names = {name.decode() for name in batch['id']}
    frames = [int(re.search(r'pic(\d+)', name)[1]) for name in names if 'pic' in name]
    seen |= names
    assert all(abs(one - other) >= WINDOW for one, other in itertools.combinations(frames, 2)), frames
    assert len(names) == 6
  assert len(seen) > 40, 'other frames come in other batches'
  near = 0
  for batch in batches(sources, 20, window=0):
    frames = sorted({int(re.search(r'pic(\d+)', name.decode())[1]) for name in batch['id'] if b'pic' in name})
    near += any(other - one < WINDOW for one, other in zip(frames, frames[1:]))
  assert near, 'without the rule neighbours would meet'


@pytest.mark.slow
def test_equal_seeds_give_equal_batches_and_a_resumed_training_goes_on_with_them(sources):
  first, second, third = batches(sources, 3)
  np.testing.assert_array_equal(batches(sources, 3)[2]['image'], third['image'])
  resumed = batches(sources, 1, skip_batches=2)[0]
  for name, value in third.items():
    np.testing.assert_array_equal(resumed[name], value, err_msg=name)
  assert np.any(batches(sources, seed=1)[0]['image'] != first['image'])
  assert np.any(first['image'] != second['image'])


def test_batches_to_measure_are_the_records_as_they_are(sources):
  batch = batches(sources, training=False)[0]
  assert len(set(batch['id'])) == 12 and not batch['crop_turn'].any()


def test_too_few_frames_and_odd_batches_are_refused(sources, monkeypatch):
  monkeypatch.setattr(views, '_MOST_PASSED', 300)
  with pytest.raises(tf.errors.InvalidArgumentError, match='lower window or batch_size'):
    batches(sources, batch_size=40, window=100)
  with pytest.raises(UserError, match='contrastive.pairs.sources is empty'):
    views.pairs(None)
  with pytest.raises(UserError, match='make it even'):
    batches(sources, batch_size=5)
