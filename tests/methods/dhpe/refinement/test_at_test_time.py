import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.hand import anatomy
from dhpe_tf.methods.dhpe.refinement import at_test_time, consistency


@pytest.fixture(scope='module')
def scene(model):
  """Two pictures of noise and the hands that somebody knows to be in them: near the mean hand, but not it."""
  images = tf.random.stateless_uniform([2, 64, 64, 3], [1, 2])
  start = model(images)['parameters'].numpy()
  target = start.copy()
  target[:, :45] += 0.5 * (anatomy.sample_poses(2, 5) - start[:, :45])
  target[:, 55:59] += [[0.0, 0.1, -0.1, 0.05], [0.05, -0.1, 0.0, 0.1]]
  target[:, 60:62] += [[0.1, -0.1], [-0.15, 0.1]]
  return images, model.hand(tf.constant(target))


def error_2d(found, hand):
  return tf.reduce_mean(tf.norm(found['joints_2d'] - hand['joints_2d'], axis=-1), axis=-1).numpy()


def iou(a, b):
  a, b = a.numpy() > 0.5, b.numpy() > 0.5
  return (a & b).sum((1, 2)) / (a | b).sum((1, 2))


def test_known_joints_draw_the_mesh_to_them(model, scene):
  images, hand = scene
  options = {'joints_2d': hand['joints_2d'], 'joints_2d_weight': tf.ones([2, 21])}
  before = error_2d(at_test_time.refine(model, images, 0, **options), hand)
  after = error_2d(at_test_time.refine(model, images, 80, **options), hand)
  assert np.all(after < 0.25 * before), (before, after)


def test_a_known_mask_draws_the_mesh_into_it(model, scene):
  images, hand = scene
  truth = model.silhouette(hand['vertices'])
  mask = tf.image.resize(truth[..., None], [64, 64])[..., 0]
  options = {'mask': mask, 'mask_weight': tf.ones([2]), 'joints_2d': hand['joints_2d'],
             'joints_2d_weight': tf.ones([2, 21])}
  before = iou(at_test_time.refine(model, images, 0, **options)['mask'], truth)
  after = iou(at_test_time.refine(model, images, 80, **options)['mask'], truth)
  assert np.all(after > before + 0.1), (before, after)


def test_zero_steps_is_the_plain_estimate(model, scene):
  images, _ = scene
  plain, found = model(images), at_test_time.refine(model, images, 0)
  for name in ('vertices', 'joints_2d', 'parameters', 'mask'):
    np.testing.assert_allclose(found[name], plain[name], atol=1e-5)


def test_refining_by_steps_is_refining_several_times(model, scene):
  images, _ = scene
  for steps, found in zip((0, 3, 6), at_test_time.refine_by_steps(model, images, (0, 3, 6))):
    again = at_test_time.refine(model, images, steps)
    for name in ('parameters', 'joints_3d', 'mask'):
      np.testing.assert_allclose(found[name], again[name], atol=1e-3)


def test_objective_never_ends_above_its_start(model, scene):
  images, hand = scene
  found = at_test_time.refine(model, images, 10)
  objective = found['objective'].numpy()
  assert objective.shape == (2, 11) and np.all(objective.min(axis=1) <= objective[:, 0])
  again = at_test_time.refine(model, images, 0)
  assert np.all(objective[:, 0] == pytest.approx(again['objective'].numpy()[:, 0], rel=1e-4))


def test_weight_zero_is_as_if_nothing_were_known(model, scene):
  images, hand = scene
  nothing = {'joints_2d': tf.fill([2, 21, 2], 9.0), 'joints_2d_weight': tf.zeros([2, 21]),
             'mask': tf.zeros([2, 64, 64]), 'mask_weight': tf.zeros([2])}
  np.testing.assert_allclose(at_test_time.refine(model, images, 5, **nothing)['parameters'],
                             at_test_time.refine(model, images, 5)['parameters'], atol=1e-5)


def test_factors_multiply_the_weights_of_the_terms(model, scene):
  images, hand = scene
  options = {'joints_2d': hand['joints_2d'], 'joints_2d_weight': tf.ones([2, 21])}
  plain = at_test_time.refine(model, images, 6, **options)
  same = at_test_time.refine(model, images, 6, factors=tf.ones([7]), **options)
  np.testing.assert_allclose(plain['parameters'], same['parameters'], atol=1e-5)
  without = tf.constant([0., 1., 1., 1., 1., 1., 1.])
  still = at_test_time.refine(model, images, 6, factors=without, **options)
  # Without the joints all terms are least at the start.
  np.testing.assert_allclose(still['objective'][:, 0], 0., atol=1e-6)
  np.testing.assert_allclose(still['parameters'], model(images)['parameters'], atol=1e-5)
  twice = at_test_time.refine(model, images, 0, factors=tf.constant([2.] * 7), **options)
  np.testing.assert_allclose(twice['objective'][:, 0], 2 * plain['objective'][:, 0], rtol=1e-4)


def test_feature_term_compares_with_what_the_mask_shows(model, scene):
  images, hand = scene
  evidence = consistency.Evidence(images, model.feature_net(images), hand['joints_2d'][:, None], tf.zeros([2, 21]),
                                  model(images)['parameters'])
  only_feature = consistency.Consistency(model, evidence, joints=0.0, feature=1.0, laplacian=0.0, joint_limits=0.0,
                                         shape_prior=0.0, stay=0.0)
  h = evidence.start
  with tf.GradientTape() as tape:
    tape.watch(h)
    value = only_feature(h)
  shown = tf.image.resize(model.silhouette(model.hand(h)['vertices'])[..., None], [64, 64]) * images
  expected = tf.reduce_mean((model.feature_net(images) - model.feature_net(shown)) ** 2, axis=-1)
  np.testing.assert_allclose(value, expected, rtol=1e-4)
  # A mask held against itself would have no gradient; this term has one.
  assert np.all(np.abs(tape.gradient(value, h)).max(axis=1) > 0)


def test_the_first_target_is_what_the_model_says(model, scene):
  images, _ = scene
  outputs = model(images)
  evidence, mean = at_test_time.own_evidence(images, outputs), tf.reduce_mean(outputs['joints_2d_rounds'], axis=1)
  moved = evidence.start + 0.3
  for anew in (False, True):
    objective = consistency.Consistency(model, evidence, refine_joints=anew)
    # Refined anew with the hand that the model answered, the joints are those that it answered.
    np.testing.assert_allclose(objective.joints_target(evidence.start, model.hand(evidence.start))[0], mean, atol=1e-5)
    change = np.abs(objective.joints_target(moved, model.hand(moved))[0] - mean).max()
    assert change > 1e-3 if anew else change == 0


def test_priors_hold_but_do_not_pull(model, scene):
  images, _ = scene
  # Fingers bent backward and a shape far from the mean: a prior alone would change them.
  start = model(images)['parameters'].numpy()
  start[:, :55] = [*np.tile([0, 0, 1.5], 15), *np.full(10, 3.0)]
  evidence = consistency.Evidence(images, None, tf.zeros([2, 4, 21, 2]), tf.zeros([2, 21]), tf.constant(start))
  options = {'joints': 0.0, 'laplacian': 0.0, 'stay': 0.0}
  for name, worse in (('joint_limits', np.r_[np.full(45, 1.2), np.ones(18)]),
                      ('shape_prior', np.r_[np.ones(45), np.full(10, 1.1), np.ones(8)])):
    weights = {'joint_limits': 0.0, 'shape_prior': 0.0, name: 1.0}
    objective = consistency.Consistency(model, evidence, **options, **weights)
    assert np.all(objective._priors(model.hand(evidence.start))[name] > 0)
    np.testing.assert_array_equal(objective(tf.constant(start)), [0, 0])
    assert np.all(objective(tf.constant(start * worse, tf.float32)) > 0)


def test_gradient_of_the_smooth_terms(model, scene):
  images, hand = scene
  evidence = consistency.Evidence(images, model.feature_net(images), hand['joints_2d'][:, None], tf.ones([2, 21]),
                                  model(images)['parameters'])
  objective = consistency.Consistency(model, evidence, laplacian=0.0, refine_joints=False)
  h = model(images)['parameters'] + 0.05
  with tf.GradientTape() as tape:
    tape.watch(h)
    value = objective(h)
  gradient = tape.gradient(value, h)
  direction = tf.random.stateless_normal([2, 63], [3, 4])
  step = 1e-2
  slope = (objective(h + step * direction) - objective(h - step * direction)) / (2 * step)
  np.testing.assert_allclose(tf.reduce_sum(gradient * direction, axis=1), slope, rtol=2e-2)


def test_signature_for_serving(model, scene):
  images, _ = scene
  function, specs, *_ = at_test_time.signature(model)
  found = function(images=images, steps=tf.constant(3), joints_2d=tf.zeros([2, 21, 2]),
                   joints_2d_weight=tf.zeros([2, 21]), mask=tf.zeros([2, 64, 64]), mask_weight=tf.zeros([2]),
                   term_weights=tf.zeros([7]))
  assert found['objective'].shape == (2, 4) and found['vertices'].shape == (2, 778, 3)
  assert set(specs) == {'images', 'steps', 'joints_2d', 'joints_2d_weight', 'mask', 'mask_weight', 'term_weights'}
  np.testing.assert_allclose(model.refined({'image': images}, [3])[0]['vertices'], found['vertices'], atol=1e-3)
