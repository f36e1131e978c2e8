import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.geometry import crops


def _random_crop(batch=3, seed=0):
  rng = np.random.default_rng(seed)
  return crops.Crop(tf.constant(rng.uniform(20, 300, [batch, 2])), tf.constant(rng.uniform(50, 200, [batch])))


@pytest.mark.parametrize('rotation', [None, 0.7])
def test_to_crop_and_back(rotation):
  crop = _random_crop()
  points = tf.constant(np.random.default_rng(1).uniform(-50, 700, [3, 21, 2]))
  back = crops.from_crop(crops.to_crop(points, crop, rotation), crop, rotation)
  np.testing.assert_allclose(back, points, atol=1e-9)


def test_corners_of_the_square_are_plus_and_minus_one():
  crop = crops.Crop(tf.constant([[30., 20.]]), tf.constant([10.]))
  corners = tf.constant([[[25., 15.], [35., 25.], [30., 20.]]])
  np.testing.assert_allclose(crops.to_crop(corners, crop), [[[-1, -1], [1, 1], [0, 0]]], atol=1e-6)


def test_rotation_turns_right_into_down():
  crop = crops.Crop(tf.constant([[30., 20.]]), tf.constant([10.]))
  turned = crops.to_crop(tf.constant([[[35., 20.]]]), crop, rotation=np.pi / 2)
  np.testing.assert_allclose(turned, [[[0, 1]]], atol=1e-6)


def test_turn_keeps_depth():
  np.testing.assert_allclose(crops.turn(tf.constant([[1., 0., 5.]]), np.pi / 2), [[0, 1, 5]], atol=1e-6)


def test_crop_from_joints_counts_visible_joints_only():
  joints = tf.constant([[[10., 10.], [50., 30.], [np.nan, 4000.]], [[1., 1.], [2., 2.], [3., 3.]]])
  visible = tf.constant([[1., 1., 0.], [0., 0., 0.]])
  crop = crops.crop_from_joints(joints, visible)
  np.testing.assert_allclose(crop.center_px, [[30, 20], [0, 0]])
  np.testing.assert_allclose(crop.side_px, [60, 2])
  rooted = crops.crop_from_joints(joints, visible, margin=2., root=1)
  np.testing.assert_allclose(rooted.center_px[0], [50, 30])
  np.testing.assert_allclose(rooted.side_px[0], 80)


def test_paper_unit_interval():
  """Section A.3: x^ = (u - u_root) / g + 0.5 equals (x_crop + 1) / 2 of the crop centred on the root."""
  joints = np.random.default_rng(0).uniform(40, 200, [2, 21, 2])
  crop = crops.crop_from_joints(tf.constant(joints), root=9)
  side = 1.5 * (joints.max(1) - joints.min(1)).max(-1)
  expected = (joints - joints[:, 9:10]) / side[:, None, None] + 0.5
  np.testing.assert_allclose((crops.to_crop(tf.constant(joints), crop) + 1) / 2, expected, atol=1e-12)


def test_crop_from_box():
  crop = crops.crop_from_box(tf.constant([[10., 20., 30., 40.]]), margin=1.5)
  np.testing.assert_allclose(crop.center_px, [[25, 40]])
  np.testing.assert_allclose(crop.side_px, [60])


def test_mirrored_crop_of_mirrored_points():
  crop = _random_crop()
  points = tf.constant(np.random.default_rng(1).uniform(0, 320, [3, 21, 2]))
  direct = crops.mirror_points(crops.to_crop(points, crop))
  mirrored = crops.to_crop(crops.mirror_points(points, 320.), crops.mirror_crop(crop, 320.))
  np.testing.assert_allclose(direct, mirrored, atol=1e-9)


def test_mirrored_crop_of_mirrored_image():
  image = tf.random.stateless_uniform([40, 70, 3], [1, 2])
  crop = crops.Crop(tf.constant([33.3, 18.8]), tf.constant(25.))
  direct = crops.mirror_image(crops.extract(image, crop, 16, fill=0.2))
  mirrored = crops.extract(crops.mirror_image(image), crops.mirror_crop(crop, 70.), 16, fill=0.2)
  np.testing.assert_allclose(direct, mirrored, atol=1e-5)


def _ramp(height, width):
  """An image whose channels are the x, the y of each pixel's centre, and their sum."""
  x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
  return tf.constant(np.stack([x, y, x + y], -1), tf.float32)


def test_extract_copies_pixels_exactly():
  image = tf.constant(np.random.default_rng(0).integers(0, 256, [30, 40, 3]), tf.uint8)
  # Columns 12..19 and rows 5..12.
  crop = crops.Crop(tf.constant([16., 9.]), tf.constant(8.))
  np.testing.assert_allclose(crops.extract(image, crop, 8), image[5:13, 12:20] / 255, atol=1e-6)


@pytest.mark.parametrize('side, rotation', [(20., 0.), (13.7, 0.), (20., 0.6), (48., -1.1), (60., 0.)])
def test_extract_shows_each_point_where_to_crop_puts_it(side, rotation):
  """On a linear image resampling is exact, whether the crop grows or shrinks, so pixels tell where they come from."""
  size, crop = 10, crops.Crop(tf.constant([70.3, 50.8]), tf.constant(side))
  result = crops.extract(_ramp(100, 140), crop, size, rotation=rotation)
  x, y = np.meshgrid((np.arange(size) + 0.5) * 2 / size - 1, (np.arange(size) + 0.5) * 2 / size - 1)
  centers = tf.constant(np.stack([x, y], -1).reshape(1, -1, 2), tf.float32)
  source = crops.from_crop(centers, crops.Crop(*(part[None] for part in crop)), rotation)
  np.testing.assert_allclose(tf.reshape(result[..., :2], [1, -1, 2]), source, atol=1e-3)


def test_extract_averages_when_shrinking():
  image = tf.constant(np.random.default_rng(0).integers(0, 256, [32, 32, 1]), tf.uint8)
  expected = image.numpy().reshape(8, 4, 8, 4, 1).mean((1, 3)) / 255
  whole = crops.Crop(tf.constant([16., 16.]), tf.constant(32.))
  np.testing.assert_allclose(crops.extract(image, whole, 8), expected, atol=1e-6)
  checkers = tf.constant((np.indices([64, 64]).sum(0) % 2)[..., None], tf.float32)
  flat = crops.extract(checkers, crops.Crop(tf.constant([32., 32.]), tf.constant(40.)), 10)
  np.testing.assert_allclose(flat, 0.5, atol=1e-6)


@pytest.mark.parametrize('side', [6., 40.])
def test_extract_outside(side):
  image = tf.ones([10, 12, 3])
  far = crops.Crop(tf.constant([200., 200.]), tf.constant(side))
  np.testing.assert_allclose(crops.extract(image, far, 6, fill=0.25), 0.25)
  np.testing.assert_allclose(crops.extract(image, far, 6, fill=None), 1.)
  np.testing.assert_allclose(crops.extract(tf.cast(image * 255, tf.uint8), far, 6), 0.5, atol=1e-6)


@pytest.mark.parametrize('fill', [0.3, None])
@pytest.mark.parametrize('center', [(5., 90.), (60., 3.), (119., 79.)])
def test_extract_sees_no_border_but_the_image_s(center, fill):
  """Only the surroundings of the crop are read; padding the image by its fill or its edge first changes nothing."""
  image = tf.random.stateless_uniform([80, 120, 3], [5, 6])
  padding = [[60, 60], [60, 60], [0, 0]]
  padded = (np.pad(image, padding, constant_values=fill) if fill is not None else np.pad(image, padding, mode='edge'))
  for side, rotation in ((30., .5), (70., -2.)):
    crop = crops.Crop(tf.constant(center), tf.constant(side))
    direct = crops.extract(image, crop, 28, rotation=rotation, fill=fill)
    if side / 28 < 1.5:
      shifted = crops.Crop(tf.constant(center) + 60., tf.constant(side))
      np.testing.assert_allclose(direct, crops.extract(tf.constant(padded), shifted, 28, rotation=rotation, fill=fill),
                                 atol=1e-4)
    assert np.isfinite(direct).all()


def test_extract_at_ragged_border():
  """A shrinking crop whose last block of pixels is cut by the border does not darken there."""
  crop = crops.Crop(tf.constant([6., 5.]), tf.constant(30.))
  np.testing.assert_allclose(crops.extract(tf.fill([11, 13, 3], 0.7), crop, 6, fill=0.7), 0.7, atol=1e-6)


def test_extract_batch_equals_singles_under_unknown_batch():
  images = tf.random.stateless_uniform([2, 50, 60, 3], [3, 4])
  crop = crops.Crop(tf.constant([[20., 20.], [30., 25.]]), tf.constant([15., 44.]))
  rotation = tf.constant([0.3, -2.])

  @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([None, 2]), tf.TensorSpec([None]),
                                tf.TensorSpec([None])])
  def batched(images, center, side, rotation):
    return crops.extract(images, crops.Crop(center, side), 9, rotation=rotation)

  result = batched(images, *crop, rotation)
  for i in range(2):
    single = crops.extract(images[i], crops.Crop(crop.center_px[i], crop.side_px[i]), 9, rotation=rotation[i])
    np.testing.assert_allclose(result[i], single, atol=1e-6)


def test_a_crop_far_larger_than_the_image_costs_no_more_and_shows_it_small():
  image = tf.fill([40, 60, 3], 1.)
  shown = crops.extract(image, crops.Crop(tf.constant([30., 20.]), tf.constant(3e7)), 16, fill=0.25)
  np.testing.assert_allclose(shown, 0.25, atol=0.01)
  nearer = crops.extract(image, crops.Crop(tf.constant([30., 20.]), tf.constant(600.)), 10, fill=0.)
  # 40 x 60 of 600 x 600 pixels are 0.67 of one of the 10 x 10.
  np.testing.assert_allclose(tf.reduce_sum(nearer[..., 0]), 0.67, atol=0.35)


@pytest.mark.parametrize('shape', [(1, 30000), (30000, 1)])
def test_a_crop_of_a_thin_image_costs_what_the_image_has(shape):
  """Padded to whole square blocks, it would be a picture of 30000 x 134 and more."""
  image = tf.ones([*shape, 3], tf.float32)
  whole = crops.Crop(tf.constant(shape[::-1], tf.float32) / 2, tf.constant(30000.))
  shown = crops.extract(image, whole, 224, fill=0.)
  assert np.isfinite(shown).all() and shown.shape == (224, 224, 3)
  assert crops._shrink(image, tf.constant(134)).shape == [1 if side == 1 else 224 for side in shape] + [3]


@pytest.mark.parametrize('side', [1e10, 1e30])
def test_a_crop_larger_than_integers_is_finite(side):
  image, crop = tf.ones([40, 60, 3]), crops.Crop(tf.constant([30., 20.]), tf.constant(side))
  assert np.isfinite(crops.extract(image, crop, 16, fill=0.25)).all()
  part, origin_px = crops._surroundings(image, crop, 60)
  assert part.shape == [40, 60, 3] and not np.any(origin_px)
