import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.geometry import cameras, crops

# A wide picture, 640 x 360, whose two focal lengths differ.
INTRINSICS = np.array([[610., 0., 322.], [0., 590., 171.], [0., 0., 1.]])


def _scene(batch=3, seed=0, dtype=np.float64, intrinsics=INTRINSICS):
  """Random hands 0.3 to 0.8 m away, as (points, root depth, intrinsics, crop)."""
  rng = np.random.default_rng(seed)
  center = np.concatenate([rng.uniform(-.1, .1, [batch, 1, 2]), rng.uniform(.3, .8, [batch, 1, 1])], -1)
  points = tf.constant(center + rng.uniform(-.08, .08, [batch, 21, 3]), dtype)
  matrices = tf.constant(np.tile(intrinsics, [batch, 1, 1]), dtype)
  crop = crops.crop_from_joints(cameras.project_pinhole(points, matrices))
  return points, points[:, 9, 2], matrices, crop


def test_project_by_hand():
  pixels = cameras.project_pinhole(tf.constant([[[0.1, -0.05, 0.5]]], tf.float64), tf.constant(INTRINSICS)[None])
  np.testing.assert_allclose(pixels, [[[610 * .2 + 322, 590 * -.1 + 171]]])


def test_unproject_inverts_project_with_skew():
  skewed = INTRINSICS + np.array([[0, 7., 0], [0, 0, 0], [0, 0, 0]])
  points, _, matrices, _ = _scene(intrinsics=skewed)
  back = cameras.unproject(cameras.project_pinhole(points, matrices), points[..., 2], matrices)
  np.testing.assert_allclose(back, points, atol=1e-12)


@pytest.mark.parametrize('dtype, tolerance', [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_crop_to_metric_and_back(dtype, tolerance):
  points, depth, matrices, crop = _scene(dtype=dtype)
  in_crop = cameras.metric_to_crop(points, depth, matrices, crop)
  np.testing.assert_allclose(cameras.crop_to_metric(in_crop, depth, matrices, crop), points, atol=tolerance)
  assert in_crop.dtype == dtype and np.abs(in_crop[..., :2]).max() <= 1
  np.testing.assert_allclose(in_crop[:, 9, 2], 0, atol=tolerance)


def test_depth_by_the_formula_of_the_paper():
  points, depth, matrices, crop = _scene(1)
  z_hat = (points[0, :, 2] - depth[0]) / (depth[0] * crop.side_px[0] / 600.) + 0.5
  in_crop = cameras.metric_to_crop(points, depth, matrices, crop)
  np.testing.assert_allclose((in_crop[0, :, 2] + 1) / 2, z_hat, atol=1e-12)


def test_make_intrinsics():
  matrix = cameras.make_intrinsics(tf.constant([[610., 590.]]), tf.constant([[322., 171.]]))
  np.testing.assert_allclose(matrix[0], INTRINSICS)


def _square_pixels():
  matrix = INTRINSICS.copy()
  matrix[1, 1] = matrix[0, 0]
  return matrix


def test_removing_perspective_leaves_the_true_hand_up_to_scale():
  points, depth, matrices, crop = _scene(intrinsics=_square_pixels())
  camera = cameras.crop_camera(matrices, crop)
  weak = cameras.remove_perspective(cameras.metric_to_crop(points, depth, matrices, crop), camera)
  unit = cameras.metres_per_unit(depth, matrices, crop)[:, None, None]
  np.testing.assert_allclose((weak - weak[:, 9:10]) * unit, points - points[:, 9:10], atol=1e-12)
  # The root itself stays in its place.
  np.testing.assert_allclose(weak[:, 9], cameras.metric_to_crop(points, depth, matrices, crop)[:, 9], atol=1e-12)


def test_perspective_round_trip_and_limit():
  points, depth, matrices, crop = _scene()
  in_crop = cameras.metric_to_crop(points, depth, matrices, crop)
  camera = cameras.crop_camera(matrices, crop)
  np.testing.assert_allclose(cameras.add_perspective(cameras.remove_perspective(in_crop, camera), camera), in_crop,
                             atol=1e-12)
  far = cameras.CropCamera(camera.distance * 1e9, camera.principal)
  np.testing.assert_allclose(cameras.add_perspective(in_crop, far), in_crop, atol=1e-6)


@pytest.mark.parametrize('bones', [((0, 9),), ((0, 5), (0, 9), (5, 17), (9, 10))])
def test_solve_root_depth(bones):
  points, depth, matrices, crop = _scene()
  lengths = tf.stack([tf.norm(points[:, a] - points[:, b], axis=-1) for a, b in bones], -1)
  in_crop = cameras.metric_to_crop(points, depth, matrices, crop)
  np.testing.assert_allclose(cameras.solve_root_depth(in_crop, matrices, crop, lengths, bones), depth, rtol=1e-9)


def test_solve_root_depth_weak():
  points, depth, matrices, crop = _scene(intrinsics=_square_pixels())
  lengths = tf.norm(points[:, 0] - points[:, 9], axis=-1)[:, None]
  weak = cameras.remove_perspective(cameras.metric_to_crop(points, depth, matrices, crop),
                                    cameras.crop_camera(matrices, crop))
  np.testing.assert_allclose(cameras.solve_root_depth(weak, matrices, crop, lengths, weak=True), depth, rtol=1e-9)


def test_unknown_batch_under_xla():
  points, depth, matrices, crop = _scene(2, dtype=np.float32)

  @tf.function(jit_compile=True, input_signature=[tf.TensorSpec([None, 21, 3]), tf.TensorSpec([None]),
                                                  tf.TensorSpec([None, 3, 3]), tf.TensorSpec([None, 2]),
                                                  tf.TensorSpec([None])])
  def there_and_back(points, depth, matrices, center, side):
    crop = crops.Crop(center, side)
    in_crop = cameras.metric_to_crop(points, depth, matrices, crop)
    solved = cameras.solve_root_depth(in_crop, matrices, crop, tf.norm(points[:, :1] - points[:, 9:10], axis=-1))
    return cameras.crop_to_metric(in_crop, solved, matrices, crop)

  np.testing.assert_allclose(there_and_back(points, depth, matrices, *crop), points, atol=1e-5)
