"""What is written to TensorBoard after an evaluation: measures, curves, pictures and meshes."""
import glob

import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.tasks.measured import Column, Measured
from dhpe_tf.training import callbacks
from dhpe_tf.visualization.curves import Axes
from tests.serving import toy
from tests.training import tiny


class CurvedTask(tiny.TinyTask):
  """The tiny task with a column, one that is never measured, and a curve."""

  columns = (Column('error', 'error', '.2f'), Column('other', 'other', '.2f'))
  curve_axes = Axes(np.arange(3.), 'error', 'share')

  def measure(self, protocol, predictions, labels, options=None):
    measured = super().measure(protocol, predictions, labels, options)
    return Measured(measured.measures, {'share': np.array([0., .5, 1.])})


def written(folder):
  """Tag -> step and value of what the event files in `folder`/eval hold."""
  events = [event for path in glob.glob(f'{folder}/eval/*') for event in tf.compat.v1.train.summary_iterator(path)]
  return {value.tag: (event.step, tf.make_ndarray(value.tensor)) for event in events for value in event.summary.value}


def test_all_batches_are_measured_together(tmp_path):
  model = tiny.build_tiny_model(dropout=0.)
  batches = list(tiny.build_tiny_dataset(tiny.TASK, False, 0, 0, count=6))
  assert [len(batch['image']) for batch in batches] == [4, 2]
  callback = callbacks.HeldOutMeasures(str(tmp_path), CurvedTask(), batches)
  callback.set_model(model)
  callback.on_test_end({'step': 7})
  images, target = (np.concatenate([batch[name] for batch in batches]) for name in ('image', 'target'))
  values = written(tmp_path)
  step, error = values['error']
  assert step == 7 and error == pytest.approx(np.abs(model(images)['values'] - target).mean(), rel=1e-5)
  assert values['curves'][1][2].startswith(b'\x89PNG')
  assert set(values) == {'error', 'curves'}


def test_hands_are_drawn_and_their_meshes_written(tmp_path):
  model = toy.build_toy_model()
  picture = np.zeros([2, toy.SIZE, toy.SIZE, 3], np.float32)
  picture[:, 4:8, 4:8] = 1.
  callback = callbacks.Pictures(str(tmp_path), toy.TASK, {'image': tf.constant(picture)})
  callback.set_model(model)
  callback.on_test_end({'step': 3})
  values = written(tmp_path)
  step, results = values['results']
  width, height, *drawn = results
  assert step == 3 and len(drawn) == 2 and int(width) > int(height) == toy.SIZE  # several panels side by side
  assert all(png.startswith(b'\x89PNG') for png in drawn)
  np.testing.assert_array_equal(values['mesh_FACE'][1], np.tile(toy.HAND.faces, [2, 1, 1]))
  # TensorBoard's y points up, the crop's down.
  np.testing.assert_allclose(values['mesh_VERTEX'][1][..., 1], -model(picture)['vertices'][..., 1], atol=1e-5)
