import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.evaluation import collection
from tests.tasks.hand.hands import COUNT, SIZE, TASK, make_labels


def batches(size=4):
  labels = {**make_labels(), 'crop_center_px': np.zeros([COUNT, 2]), 'intrinsics': np.zeros([COUNT, 3, 3]),
            'root_depth_m': np.zeros(COUNT)}
  data = {name: value.astype(np.float32) for name, value in labels.items()}
  data.update(is_left=np.zeros(COUNT, bool), image=np.zeros([COUNT, SIZE, SIZE, 3], np.float32))
  return tf.data.Dataset.from_tensor_slices(data).batch(size)


def answer(batch):
  count = len(batch['image'])
  joints = tf.ones([count, 21, 3]) * 0.5
  outputs = {'joints_3d': joints, 'units_per_metre': tf.fill([count], 10.), 'mask': tf.ones([count, 4, 4])}
  return {'model': outputs, 'twice': {**outputs, 'units_per_metre': tf.fill([count], 5.)}}


def test_several_answers_to_each_image():
  found = collection.collect(TASK, answer, batches(), 'test', show_progress=False)
  np.testing.assert_allclose(found.predictions['model']['joints_3d_m'], np.full([COUNT, 21, 3], 0.05))
  np.testing.assert_allclose(found.predictions['twice']['joints_3d_m'], np.full([COUNT, 21, 3], 0.1))
  assert found.predictions['model']['mask'].shape == (COUNT, SIZE, SIZE)
  assert set(found.labels) == set(TASK.labels) and found.processor_ms > 0


def test_limit_and_nothing():
  found = collection.collect(TASK, answer, batches(), 'test', 3, False)
  assert len(found.predictions['model']['mask']) == len(found.labels['mask']) == 3 and found.processor_ms is None
  assert len(collection.collect_labels(TASK, batches(), 'test', 5)['mask']) == 5
  with pytest.raises(UserError, match='records eval: no image there'):
    collection.collect(TASK, answer, batches().take(0), 'records eval', show_progress=False)
