import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.geometry import heatmaps


def _joints(batch=4, limit=0.97, seed=0, dtype=np.float32):
  return tf.constant(np.random.default_rng(seed).uniform(-limit, limit, [batch, 21, 2]), dtype)


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('size, sigma', [(32, 25 / 256), (16, 25 / 256), (56, 25 / 256), (32, 0.05)])
def test_round_trip(size, sigma, dtype):
  joints = _joints(dtype=dtype)
  maps = heatmaps.encode(joints, size, sigma)
  decoded, peak = heatmaps.decode(maps)
  assert decoded.dtype == joints.dtype and maps.shape == [4, size, size, 21]
  error_entries = np.abs(decoded - joints).max() * size / 2
  assert error_entries < 1e-2
  assert 0.5 < peak.numpy().min() and peak.numpy().max() <= 1


def test_noisy_round_trip():
  joints = _joints(limit=0.9)
  maps = heatmaps.encode(joints)
  maps += tf.random.stateless_normal(maps.shape, [1, 2], stddev=0.01)
  error_entries = tf.norm(heatmaps.decode(maps)[0] - joints, axis=-1) * 16
  assert np.mean(error_entries) < 0.25


def test_entries_against_the_formula():
  joints = tf.constant([[[0.25, -0.5]]])
  maps = heatmaps.encode(joints, size=4, sigma=0.3).numpy()
  for row in range(4):
    for column in range(4):
      dx, dy = (column + 0.5) / 4 - 0.625, (row + 0.5) / 4 - 0.25
      np.testing.assert_allclose(maps[0, row, column, 0], np.exp(-(dx * dx + dy * dy) / 0.09), rtol=1e-5)


def test_joint_outside_gives_zeros():
  maps = heatmaps.encode(tf.constant([[[1.01, 0.], [np.nan, 0.], [0., 0.]]]))
  np.testing.assert_array_equal(maps[..., :2], 0.)
  assert maps[..., 2].numpy().max() > 0.9


def test_odd_maps_stay_finite_and_near_their_top():
  """Flat, negative and single-entry maps."""
  maps = np.zeros([1, 8, 8, 5], np.float32)
  maps[..., 1] = -1.
  maps[0, 6, 2, 2] = 5.
  maps[0, 0, 7, 3] = 1.
  maps[..., 4] = np.nan
  joints, peak = heatmaps.decode(tf.constant(maps))
  assert np.isfinite(joints).all()
  np.testing.assert_allclose(peak[:, :4], [[0, -1, 5, 1]])
  np.testing.assert_allclose(joints[0, 2], [-0.375, 0.625], atol=1e-6)
  np.testing.assert_allclose(joints[0, 3], [0.875, -0.875], atol=0.25 + 1e-6)


def test_window_of_one_is_argmax():
  joints, _ = heatmaps.decode(heatmaps.encode(tf.constant([[[0.1, -0.3]]]), size=8), window=1)
  np.testing.assert_allclose(joints, [[[0.125, -0.375]]])


def test_no_gradient_passes():
  maps = heatmaps.encode(_joints())
  with tf.GradientTape() as tape:
    tape.watch(maps)
    joints, peak = heatmaps.decode(maps)
    total = tf.reduce_sum(joints) + tf.reduce_sum(peak)
  assert tape.gradient(total, maps) is None


@pytest.mark.parametrize('jit', [False, True])
def test_unknown_batch_and_xla(jit):
  function = tf.function(lambda joints: heatmaps.decode(heatmaps.encode(joints))[0],
                         input_signature=[tf.TensorSpec([None, 21, 2])], jit_compile=jit)
  joints = _joints(2)
  np.testing.assert_allclose(function(joints), joints, atol=1e-3)


@pytest.mark.parametrize('window', [4, 9])
def test_bad_window(window):
  with pytest.raises(ValueError, match='window'):
    heatmaps.decode(tf.zeros([1, 8, 8, 2]), window=window)
