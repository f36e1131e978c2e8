"""The forms with lists of fixed length: compiled by XLA they give what the free forms give, or say that they cannot."""
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.rendering import ranges, rasterizer
from dhpe_tf.rendering.exact_area import ExactAreaSilhouette
from tests.rendering import scenes

SIZE = (20, 28)


@pytest.fixture(scope='module')
def scene():
  vertices, faces = scenes.torus()
  views = scenes.posed(vertices, SIZE, 3, seed=1, fill=.35).astype(np.float32)
  views[1, 3] = np.nan
  return views, faces


def test_fixed_lists_hold_what_free_ones_hold():
  starts = np.array([0, 5, 5, 2, 7, 9, 0])
  limits = np.array([3, 5, 8, 1, 8, 9, 2])
  index, value = ranges.expand_ranges(starts, limits)
  count = len(index)
  for size in (count, count + 1, 3000):
    budget = ranges.Budget(size)
    fixed_index, fixed_value, there = budget.expand(starts, limits)
    assert not budget.overflow and there.numpy().sum() == count
    np.testing.assert_array_equal(fixed_index[:count], index)
    np.testing.assert_array_equal(fixed_value[:count], value)
    assert not fixed_index[count:].numpy().any() and not fixed_value[count:].numpy().any()
  budget = ranges.Budget(count - 1)
  fixed_index, _, there = budget.expand(starts, limits)
  assert budget.overflow and there.numpy().all()
  np.testing.assert_array_equal(fixed_index, index[:-1])


def test_many_ranges():
  random = np.random.default_rng(0)
  starts = random.integers(0, 50, 70_000)
  limits = starts + random.integers(-2, 3, len(starts))
  index, value = ranges.expand_ranges(starts, limits)
  fixed_index, fixed_value, there = ranges.Budget(len(index) + 7).expand(starts, limits)
  np.testing.assert_array_equal(fixed_index[:-7], index)
  np.testing.assert_array_equal(fixed_value[:-7], value)
  assert not there[-7:].numpy().any()


@pytest.mark.parametrize('pieces, enough', [(400, True), (30, False)])
def test_exact_area_under_xla(scene, pieces, enough):
  views, faces = scene
  silhouette = ExactAreaSilhouette(faces)

  def value_and_gradient(draw):
    v = tf.constant(views)
    with tf.GradientTape() as tape:
      tape.watch(v)
      alpha, overflow = draw(v)
      loss = tf.reduce_sum(alpha**2)
    return alpha, tape.gradient(loss, v), overflow

  compiled = tf.function(lambda: value_and_gradient(
      lambda v: silhouette.within_budget(v, SIZE, edges=120, pieces=pieces)), jit_compile=True)
  alpha, gradient, overflow = compiled()
  assert bool(overflow) != enough
  if enough:
    expected, slope, _ = value_and_gradient(lambda v: (silhouette(v, SIZE), None))
    np.testing.assert_allclose(alpha, expected, atol=1e-5)
    np.testing.assert_allclose(gradient, slope, atol=1e-4)
  else:
    assert np.isnan(alpha).all()


@pytest.mark.parametrize('perspective', [False, True])
@pytest.mark.parametrize('fragments, enough', [(2000, True), (50, False)])
def test_rasterizer_under_xla(scene, fragments, enough, perspective):
  views, faces = scene

  @tf.function(jit_compile=True)
  def draw(v):
    buffer, overflow = rasterizer.rasterize_within_budget(v, faces, SIZE, perspective, rows_per_image=2000,
                                                          fragments_per_image=fragments)
    depth = buffer.attributes['depth'].value
    return buffer.triangle_id, buffer.foreground_mask, buffer.barycentrics.value, depth, overflow

  ids, mask, barycentrics, depth, overflow = draw(views)
  assert bool(overflow) != enough
  if not enough:
    assert np.isnan(mask).all() and np.isnan(barycentrics).all() and np.isnan(depth).all()
    return
  expected = rasterizer.rasterize(views, faces, SIZE, perspective)
  # XLA may fuse a product and a sum, which moves edges by the last bit: no pixel centre here is that close to one.
  np.testing.assert_array_equal(mask, expected.foreground_mask)
  np.testing.assert_allclose(depth, expected.attributes['depth'].value, rtol=1e-5)
  same = ids.numpy() == expected.triangle_id.numpy()
  assert same.mean() > .999
  np.testing.assert_allclose(barycentrics.numpy()[same[..., 0]], expected.barycentrics.value.numpy()[same[..., 0]],
                             atol=1e-3)
