"""Mesh regressor and pose refiner: the paper's sizes, starting values and gradients."""
import tensorflow as tf

from dhpe_tf.methods.dhpe import mesh_regressor, pose_refiner


def test_regressor_and_refiner_have_the_papers_weights():
  assert mesh_regressor.mesh_regressor(2048).get_layer('offset').kernel.shape == (2153, 63)
  assert pose_refiner.pose_refiner(2048).get_layer('offset').kernel.shape == (2216, 42)
  assert mesh_regressor.mesh_regressor(2048, use_joints_2d=False).get_layer('offset').kernel.shape == (2111, 63)
  assert len(mesh_regressor.mesh_regressor(2048, hidden=(32, 16)).weights) == 6


def test_first_offsets_are_small_and_depend_on_every_input():
  network = mesh_regressor.mesh_regressor(2048, gain=0.01)
  inputs = {name: tf.random.stateless_normal([64, size], [i, 2])
            for i, (name, size) in enumerate([('features', 2048), ('joints_2d', 42), ('parameters', 63)])}
  with tf.GradientTape() as tape:
    tape.watch(inputs)
    offset = network(inputs)
  assert 0.005 < float(tf.math.reduce_std(offset)) < 0.02
  assert all(float(tf.reduce_max(tf.abs(g))) > 0 for g in tape.gradient(offset, inputs).values())
