"""A model with the outputs of a hand model and few numbers, and a hand to go with it."""
import numpy as np
import tensorflow as tf

from dhpe_tf.hand import hand_model, skeletons
from dhpe_tf.methods import steps
from dhpe_tf.tasks.hand import request as requests
from dhpe_tf.tasks.hand.task import HandTask

SIZE = 16


def build_toy_hand():
  """A tetrahedron of 10 cm that bends and grows; its keypoints are means of its corners."""
  random = np.random.RandomState(3)
  corners = np.array([[0., 0., 0.], [.1, 0., 0.], [0., .1, 0.], [0., 0., .1]])
  shares = random.dirichlet(np.ones(4), [16 + 21])
  return hand_model.HandModel(
      name='toy', side='right', v_template=corners, faces=np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]),
      shapedirs=random.normal(scale=1e-3, size=[4, 3, 10]), posedirs=np.zeros([4, 3, 135]), joint_regressor=shares[:16],
      weights=random.dirichlet(np.ones(16), [4]), parents=skeletons.PARENTS, hands_mean=np.zeros(45),
      hands_components=np.eye(45), keypoint_regressor=np.broadcast_to(shares[16:], [3, 21, 4]),
      description={'licence': 'CC0-1.0'})


HAND = build_toy_hand()

TASK = HandTask(finds_when_served=False)
TASK.hand_model = HAND


class ToyHand(tf.keras.layers.Layer):
  """Places a small tetrahedron and 21 points where the picture is bright."""

  def __init__(self, seed):
    super().__init__()
    self.seed = seed

  def build(self, input_shape):
    random = np.random.RandomState(self.seed)
    self.points = self.add_weight(
        'points', [25, 3], initializer=tf.constant_initializer(random.uniform(-.3, .3, [25, 3])))

  def call(self, images):
    gray = tf.reduce_mean(images, axis=-1)
    x = (tf.range(SIZE, dtype=tf.float32) + 0.5) / SIZE * 2. - 1.
    mass = tf.reduce_sum(gray, axis=[1, 2]) + 1e-3
    center = tf.stack([tf.reduce_sum(gray * x, axis=[1, 2]) / mass,
                       tf.reduce_sum(gray * x[:, None], axis=[1, 2]) / mass, tf.zeros_like(mass)], axis=-1)
    points = self.points + center[:, None]
    zero = tf.zeros_like(mass)[:, None]
    scale = 8. + mass[:, None] / SIZE**2
    camera = tf.concat([zero + 1., zero, zero, zero, scale, center], axis=-1)
    joints = points[:, 4:]
    return {'vertices': points[:, :4], 'joints_3d': joints, 'joints_2d': joints[..., :2], 'camera': camera,
            'pose': tf.tile(center, [1, 15]), 'shape': tf.tile(mass[:, None], [1, 10]), 'mask': gray,
            'heatmaps': tf.tile(gray[..., None], [1, 1, 1, 21]), 'features': center,
            'units_per_metre': scale[:, 0], 'heatmap_stages': [gray, gray]}


def build_toy_model(seed=0):
  image = tf.keras.Input([SIZE, SIZE, 3], name='image')
  return steps.TrainableMethod(image, ToyHand(seed)(image), TASK, 'toy')


def predict(predictor, picture, box=None, side='right', intrinsics=None):
  """The hand that a predictor finds in a picture."""
  height, width = picture.shape[:2]
  request = requests.in_box(picture, 'image', (0, 0, width, height) if box is None else box, side == 'left')
  request = request._replace(intrinsics=intrinsics)
  inputs = predictor.task.inputs(request, predictor.input_specs)
  hand, = predictor.task.result(request, predictor.answer(inputs), predictor.card)
  return hand


def bright_picture(height=60, width=90, left=20, top=10, side=12):
  """A dark picture with one bright square."""
  picture = np.full([height, width, 3], 20, np.uint8)
  picture[top:top + side, left:left + side] = 220
  return picture
