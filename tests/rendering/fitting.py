"""Fitting a hand to silhouettes by gradient descent: how well a differentiable silhouette leads from wrong poses."""
import numpy as np
import tensorflow as tf

from dhpe_tf.hand import mano_layer, parameters
from dhpe_tf.rendering import crop_view, rasterizer


class HandFitting:
  """Targets and wrong starts of the built-in hand: `count` of them in images of size x size pixels."""

  def __init__(self, count, size=64, seed=0, shift=.2, turn=.3, bend=.2):
    random = np.random.default_rng(seed)
    self.layer, self.size = mano_layer.ManoLayer(), size
    model = self.layer.hand_model
    self.faces = model.closed_faces
    mean = parameters.split(parameters.mean_parameters(model)[np.newaxis])
    target = {name: np.tile(value, [count, 1]).astype(np.float32) for name, value in mean._asdict().items()}
    target['pose'] += .5 * (random.normal(size=(count, 45)) @ model.hands_components).astype(np.float32)
    target['rotation'] += .5 * random.normal(size=(count, 4)).astype(np.float32)
    start = {name: value.copy() for name, value in target.items()}
    start['pose'] += bend * random.normal(size=(count, 45)).astype(np.float32)
    start['rotation'] += turn * random.normal(size=(count, 4)).astype(np.float32) * np.linalg.norm(
        target['rotation'], axis=1, keepdims=True) / 2
    start['scale'] *= np.exp(.15 * random.normal(size=(count, 1))).astype(np.float32)
    start['translation'][:, :2] += shift * random.normal(size=(count, 2)).astype(np.float32)
    self.target, self.start = target, start
    self.masks = self.hard_masks(target)

  def vertices_px(self, values):
    h = parameters.HandParameters(**values)
    vertices = self.layer(h.pose, h.shape, h.camera)['vertices']
    return crop_view.crop_to_pixels(vertices, self.size) + [0., 0., 4. * self.size]

  def hard_masks(self, values):
    mask = rasterizer.rasterize(self.vertices_px(values), self.faces, (self.size, self.size)).foreground_mask
    return mask.numpy()[..., 0] > 0

  def iou(self, values):
    masks = self.hard_masks(values)
    return (masks & self.masks).sum(axis=(1, 2)) / np.maximum((masks | self.masks).sum(axis=(1, 2)), 1)

  def descend(self, silhouette, steps=60, rate=.03):
    """Runs Adam on the squared difference of masks alone; returns the fitted parameters."""
    variables = {name: tf.Variable(value) for name, value in self.start.items() if name != 'shape'}
    # Turns, bends and shifts of about the same size change the mask about as much.
    units = {'pose': 1., 'rotation': 1., 'scale': 10., 'translation': 1.}
    optimizer = tf.keras.optimizers.Adam(1., beta_1=.8)
    wanted = tf.cast(self.masks, tf.float32)

    @tf.function
    def step(rate):
      with tf.GradientTape() as tape:
        values = {**variables, 'shape': tf.constant(self.start['shape'])}
        mask = silhouette(self.vertices_px(values), self.faces, (self.size, self.size))
        loss = tf.reduce_sum((mask - wanted)**2) / tf.reduce_sum(wanted)
      gradients = tape.gradient(loss, list(variables.values()))
      optimizer.learning_rate.assign(rate)
      before = [v.read_value() for v in variables.values()]
      optimizer.apply_gradients(zip(gradients, variables.values()))
      for (name, variable), old in zip(variables.items(), before):
        variable.assign(old + units[name] * (variable - old))

    for k in range(steps):
      step(tf.constant(rate * (1 - k / steps)**.5, tf.float32))
    return {**{name: v.numpy() for name, v in variables.items()}, 'shape': self.start['shape']}
