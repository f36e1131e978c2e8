"""New instances: their labels, pictures, number and range, and which seeds have none."""
import gin
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf import errors
from dhpe_tf.hand import mano_layer, skeletons
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.methods.dhpe.selfsup import grounds, offspring, selection
from dhpe_tf.rendering import crop_view, silhouette
from tests.methods.dhpe.selfsup.seeds import SIZE, make_seeds

SEED = tf.constant([3, 0], tf.int64)


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
  """Few backgrounds and no change of colours, but where a test asks for them."""
  gin.clear_config()
  gin.parse_config(['Grounds.pool_size = 2', 'backgrounds.Backgrounds.pool_size = 2', 'Grounds.appearance = False'])
  yield
  gin.clear_config()


@pytest.fixture(scope='module')
def seeds():
  return make_seeds()


def breed(seeds, **settings):
  breeder = offspring.Offspring(load_hand_model(), SIZE, start_epoch=0, **settings)
  breeder.begin_epoch(0)
  return breeder.breed(*seeds, SEED)


@pytest.fixture(scope='module')
def new(seeds):
  gin.parse_config(['Grounds.pool_size = 2', 'backgrounds.Backgrounds.pool_size = 2'])
  return breed(seeds)


def test_has_the_form_of_the_batch(seeds, new):
  batch, _ = seeds
  assert set(new) == {*batch, 'instance_weight'}
  for name, value in batch.items():
    assert new[name].shape == (9, *value.shape[1:]) and new[name].dtype == value.dtype, name
    assert value.dtype == tf.string or np.all(np.isfinite(np.array(new[name], float))), name
  assert np.all((new['image'] >= 0) & (new['image'] <= 1))
  assert new['id'].numpy().tolist() == [b'picture 0'] * 3 + [b'picture 1'] * 3 + [b'picture 2'] * 3
  np.testing.assert_array_equal(new['instance_weight'], np.ones(9))
  # A metric camera is not known, and the hand is the model's right one.
  assert not np.any(new['root_depth_m']) and not np.any(new['is_left'])


def test_labels_are_those_of_the_mesh(new):
  model = load_hand_model()
  joints = new['joints_3d']
  np.testing.assert_allclose(joints[..., :2], new['joints_2d'], atol=1e-6)
  np.testing.assert_allclose(joints[:, skeletons.ROOT, 2], np.zeros(9), atol=1e-6)
  # Pose and shape give the same hand up to a turn, a size and a place: the same distances between all joints.
  hand = mano_layer.ManoLayer(model)(new['pose'], new['shape'])['keypoints']
  for joints in (new['joints_3d'], new['joints_3d_m']):
    ratio = distances(joints) / distances(hand)
    np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, :1], ratio.shape), rtol=2e-3)
  np.testing.assert_allclose(ratio, np.ones_like(ratio), rtol=2e-3)


def distances(joints):
  first, second = np.triu_indices(21, 1)
  joints = np.asarray(joints)
  return np.linalg.norm(joints[:, first] - joints[:, second], axis=-1)


def test_joints_lie_on_the_mask(new):
  inside = np.clip(np.floor((new['joints_2d'] + 1) * SIZE / 2).astype(int), 0, SIZE - 1)
  seen = [np.asarray(new['mask'])[i, at[:, 1], at[:, 0]] for i, at in enumerate(inside)]
  shown = np.all(np.abs(new['joints_2d']) < 0.98, axis=-1)
  # A fingertip's keypoint lies on the skin, maybe half a pixel beyond the rim.
  assert np.mean(np.array(seen)[shown] > 0) > 0.95
  assert 0.05 < np.mean(new['mask']) < 0.6


def test_mask_is_the_silhouette_of_the_labels(seeds):
  hands = []

  class Spy(offspring.Offspring):
    def _labels(self, varied):
      hands.append(varied)
      return super()._labels(varied)

  spy = Spy(load_hand_model(), SIZE, start_epoch=0)
  spy.begin_epoch(0)
  new = spy.breed(*seeds, SEED)
  pixels = crop_view.crop_to_pixels(hands[0].vertices[..., :2], SIZE)
  exact = silhouette.silhouette(pixels, load_hand_model().closed_faces, (SIZE, SIZE))
  assert np.mean(np.abs(exact - new['mask'])) < 0.005  # four points a pixel against its exact area


def test_shapes_spread_over_three_deviations(seeds):
  shapes = np.array(breed(seeds, instances_per_parent=60)['shape'])
  assert shapes.shape == (180, 10)
  assert np.abs(shapes).max() <= 3 and np.all(np.abs(shapes).max(0) > 2.8)
  # Uniform: a third of them in the middle third.
  np.testing.assert_allclose(np.mean(np.abs(shapes) < 1, axis=0), np.full(10, 1 / 3), atol=0.12)
  narrow = np.array(breed(seeds, shape_sigma=0.5)['shape'])
  np.testing.assert_allclose(narrow.max(), 0.5, atol=0.05)


def test_poses_stay(seeds, new):
  np.testing.assert_array_equal(new['pose'], np.repeat(seeds[0]['pose'], 3, axis=0))


def test_fills_the_crop_as_training_data_do(seeds):
  joints = np.array(breed(seeds, scale=0., shift=0.)['joints_2d'])
  np.testing.assert_allclose((joints.max(1) - joints.min(1)).max(-1), np.full(9, 4 / 3), rtol=1e-4)
  np.testing.assert_allclose((joints.max(1) + joints.min(1)) / 2, np.zeros((9, 2)), atol=1e-5)
  joints = np.array(breed(seeds, scale=0.2, shift=0.1, instances_per_parent=20)['joints_2d'])
  extent, middle = (joints.max(1) - joints.min(1)).max(-1), (joints.max(1) + joints.min(1)) / 2
  assert 4 / 3 * np.exp(-0.2) < extent.min() < 1.15 and 1.5 < extent.max() < 4 / 3 * np.exp(0.2)
  assert 0.15 < np.abs(middle).max() < 0.2


def test_small_rotations_stay_near_the_seed(seeds):
  """The angle by which the hand has turned, from its joints without size and place."""
  def angles(rotation_rad):
    joints = np.array(breed(seeds, rotation_rad=rotation_rad, shape_sigma=0., instances_per_parent=20)['joints_3d'])
    unturned = breed(seeds, rotation_rad=0., shape_sigma=0., instances_per_parent=1)['joints_3d']
    rest = np.repeat(np.array(unturned), 20, 0)
    joints, rest = joints - joints[:, 9:10], rest - rest[:, 9:10]
    u, _, v = np.linalg.svd(np.einsum('bki,bkj->bij', joints, rest))
    matrix = u @ v
    return np.arccos(np.clip((np.trace(matrix, axis1=1, axis2=2) - 1) / 2, -1, 1))
  assert angles(0.).max() < 0.01
  assert 0.2 < angles(0.2).max() < 0.2 * 3**0.5
  assert angles(np.pi).max() > 2.5


def test_without_change_the_picture_stays():
  """No turn, the same shape, crop and light: what is seen of the skin looks as before."""
  batch, results = make_seeds(shape=0.)
  gin.parse_config(['selfsup.paint.new_light = 0.0'])
  new = breed((batch, results), instances_per_parent=1, shape_sigma=0., rotation_rad=0., scale=0., shift=0.)
  np.testing.assert_allclose(new['joints_2d'], batch['joints_2d'], atol=1e-4)
  assert np.mean(np.abs(new['mask'] - batch['mask'])) < 1e-3
  inside = np.array(batch['mask']) == 1
  skin = np.array(batch['image'])[inside]
  error = np.abs(np.array(new['image'])[inside] - skin)
  assert error.mean() < 0.02 and error.mean() < np.abs(skin - skin.mean(0)).mean() / 4


def test_same_numbers_same_pictures(seeds):
  one, two = breed(seeds), breed(seeds)
  for name, value in one.items():
    np.testing.assert_array_equal(value, two[name], err_msg=name)
  breeder = offspring.Offspring(load_hand_model(), SIZE, start_epoch=0)
  breeder.begin_epoch(0)
  other = breeder.breed(*seeds, SEED + 1)
  assert np.abs(np.array(other['shape'] - one['shape'])).min() > 0
  assert np.mean(np.abs(np.array(other['image'] - one['image']))) > 0.05


def test_pictures_differ_under_random_appearance(seeds):
  gin.parse_config(['Grounds.appearance = True'])
  changed = breed(seeds)
  gin.parse_config(['Grounds.appearance = False'])
  plain = breed(seeds)
  assert np.mean(np.abs(np.array(changed['image'] - plain['image']))) > 0.02
  np.testing.assert_array_equal(changed['joints_3d'], plain['joints_3d'])


@pytest.mark.parametrize('name, change', [
    ('parameters', lambda x: np.full_like(x, np.nan)),
    ('vertices', lambda x: np.full_like(x, np.inf)),
    ('vertices', lambda x: x + 1.5),
    ('joints_2d', lambda x: 0.1 * x),
    ('pose', lambda x: 3 * np.ones_like(x)),
    ('mask', lambda x: np.roll(x, SIZE // 2))])
def test_implausible_seeds_are_left_out(seeds, name, change):
  gin.parse_config(['selfsup.plausible.most_excess = 1.0'])
  batch, results = seeds
  spoilt = {**results, name: np.concatenate([change(np.array(results[name][:1])), results[name][1:]])}
  spoilt = {key: tf.constant(value) for key, value in spoilt.items()}
  new = breed((batch, spoilt))
  np.testing.assert_array_equal(new['instance_weight'], [0, 0, 0] + [1] * 6)
  for key in ('image', 'joints_3d', 'pose', 'shape', 'mask'):
    assert np.all(np.isfinite(new[key])), key


def test_without_a_true_mask_none_is_asked_for(seeds):
  batch, results = seeds
  blank = {**batch, 'mask': tf.zeros_like(batch['mask']), 'mask_weight': tf.zeros(3)}
  np.testing.assert_array_equal(selection.plausible(blank, results, load_hand_model()), np.ones(3))


def test_errors():
  with pytest.raises(errors.UserError, match='parents_per_batch from 0'):
    offspring.Offspring(load_hand_model(), SIZE, instances_per_parent=0)
  with pytest.raises(errors.UserError, match='folder nowhere'):
    gin.parse_config(["backgrounds.Backgrounds.folder = 'nowhere'"])
    grounds.Grounds(SIZE).prepare()


def test_no_seeds_switch_it_off():
  breeder = offspring.Offspring(load_hand_model(), SIZE, start_epoch=0, parents_per_batch=0)
  assert not breeder.begin_epoch(0) and not breeder.active


def test_starts_at_its_epoch():
  breeder = offspring.Offspring(load_hand_model(), SIZE, start_epoch=2)
  assert [(breeder.begin_epoch(i), breeder.active) for i in (0, 1, 2, 3)] == [
      (False, False), (False, False), (True, True), (False, True)]
