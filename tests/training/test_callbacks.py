import glob

import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.training import callbacks


class Offset(tf.keras.Model):
  """Says that joint k of a hand of scale 2 lies where the image says, in crop units."""

  def call(self, images, training=False):
    joints = tf.reshape(images, [-1, 21, 3]) * 2
    camera = tf.one_hot([4] * len(images), 8) * 2
    return {'joints_3d': joints, 'camera': camera}


def test_pck_curve_of_known_errors(tmp_path):
  truth = np.random.default_rng(0).normal(size=[4, 21, 3]).astype(np.float32)
  found = truth + [1., 2., 3.]  # forgiven by the root
  found[:, 3] += [0, 0, .02]
  found[:, 5] += [0, 0, .2]
  weight = np.ones([4, 21], np.float32)
  weight[1:, 5] = 0
  weight[0, 9] = 0  # then nothing of that hand counts, not even its joint 5
  batch = {'image': tf.constant(found.reshape(4, 21, 1, 3), tf.float32), 'joints_3d_m': tf.constant(truth),
           'joints_3d_weight': tf.constant(weight)}
  callback = callbacks.PckCurve(str(tmp_path), [{name: value[:3] for name, value in batch.items()},
                                                {name: value[3:] for name, value in batch.items()}])
  callback.set_model(Offset())
  callback.on_test_end({'step': 7})
  events = [event for path in glob.glob(f'{tmp_path}/eval/*') for event in tf.compat.v1.train.summary_iterator(path)]
  values = {value.tag: (event.step, value.tensor) for event in events for value in event.summary.value}
  # 19 of 20 keypoints are within from the first threshold above zero on (they are float32), the third from 20 mm on.
  step, area = values['auc_0_50mm']
  assert step == 7 and float(tf.make_ndarray(area)) == pytest.approx(1 - .02 / .05 / 20, abs=.006)
  assert values['pck'][1].string_val[2].startswith(b'\x89PNG')
