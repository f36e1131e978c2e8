"""A task of somebody else's: how far a bright bar in a picture is turned. It needs no change to the package."""
import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.data import image_files, statistics, tfrecords
from dhpe_tf.data.contract import Entry
from dhpe_tf.data.record_schema import Field, RecordSchema
from dhpe_tf.methods import steps
from dhpe_tf.tasks import task
from dhpe_tf.tasks.measured import Column, Measure, Measured
from dhpe_tf.visualization import pictures

SCHEMA = RecordSchema({'picture': Field('bytes', (), None, 'PNG file', is_picture=True),
                       'name': Field('bytes', (), None, 'its name'),
                       'tilt_rad': Field('float', (), None, 'turn of the bar from upright')}, 'name')


def draw_bar(tilt_rad, size=32):
  """A grey picture, uint8 [size, size, 3], with a white bar through its middle."""
  y, x = np.mgrid[:size, :size] - (size - 1) / 2
  across = np.abs(x * np.cos(tilt_rad) + y * np.sin(tilt_rad))
  return np.repeat(np.where(across < 3, 230, 40)[..., None], 3, axis=2).astype(np.uint8)


def make_records(root, split, count, seed):
  """Writes a split of random bars."""
  tilts = np.random.default_rng(seed).uniform(-0.7, 0.7, count)
  records = ({'picture': image_files.encode(draw_bar(tilt), 'PNG'), 'name': f'bar{i}', 'tilt_rad': tilt}
             for i, tilt in enumerate(tilts))
  tfrecords.write_split(str(root), split, records, BarTask.record, shards=1)


@gin.configurable
class BarTask(task.Task):
  """A picture in, the tilt of its bar out."""

  name = 'bar'
  record = tfrecords.RecordType(SCHEMA, lambda: statistics.RecordStatistics(SCHEMA))
  batch = {'image': Entry(('B', 'S', 'S', 3), 'float32', '0..1'), 'tilt': Entry(('B', 1), 'float32', 'radians')}
  outputs = {'tilt': Entry(('B', 1), 'float32', 'radians')}
  labels = ('tilt',)
  columns = (Column('tilt, rad', 'tilt_error', '.3f'),)

  def instance(self, record, image_size, seed):
    picture = tf.io.decode_png(record['picture'], 3)
    image = tf.ensure_shape(tf.image.resize(picture, [image_size] * 2), [image_size, image_size, 3])
    return {'image': image / 255., 'tilt': record['tilt_rad'][None]}

  def measure(self, protocol, predictions, labels, options=None):
    error = float(np.abs(predictions['tilt'] - labels['tilt']).mean())
    return Measured({'tilt_error': Measure(error, 'rad', 'mean distance of the tilts')}, {})

  def constant_answers(self, training, count):
    return {'mean tilt': {'tilt': np.full([count, 1], training['tilt'].mean())}}

  def draw_instance(self, instance):
    return np.concatenate([pictures.to_bytes(instance['image']), draw_bar(instance['tilt'][0], len(instance['image']))])

  def draw_outputs(self, inputs, outputs, card):
    return draw_bar(outputs['tilt'][0])


class BarNet(steps.TrainableMethod):
  """Squared error of the tilt."""

  def losses(self, batch, outputs, training):
    return steps.Losses(tf.square(outputs['tilt'] - batch['tilt'])[:, 0], {})


@gin.configurable
def bar_net(task, size=32):
  image = tf.keras.Input([size, size, 3], name='image')
  hidden = tf.keras.layers.Dense(32, 'relu')(tf.keras.layers.Flatten()(image))
  model = BarNet(image, {'tilt': tf.keras.layers.Dense(1)(hidden)}, task, 'bar_net')
  model.watch(terms=[], measures=[])
  return model
