import gin
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.methods.cross_modal_vae import model as vae
from dhpe_tf.methods.direct import lifter
from dhpe_tf.methods.lifting import pose_prior
from dhpe_tf.methods.relative_depth import model as relative_depth
from dhpe_tf.tasks.hand import partial_labels
from tests.data import records
from tests.methods.dhpe import example_batch
from tests.tasks.hand.hands import TASK

PAIRS = (('joints_2d', 'joints_3d'), ('joints_2d', 'joints_2d'))
METHODS = {
    'direct': lambda: lifter.build_lifter(TASK, hidden=(16,), biomechanics_weight=1.),
    'lifting': lambda: pose_prior.pose_prior(TASK, (4,), (8,), (4,), (8,)),
    'relative depth': lambda: relative_depth.build_lifter(TASK, hidden=(16,)),
    'auto-encoder': lambda: vae.build_model(TASK, source='joints_2d', pairs=PAIRS, latent=4, encoder_hidden=(16,),
                                            decoder_hidden=(16,), alternating=False)}


@pytest.fixture(autouse=True)
def _clean():
  yield
  gin.clear_config()


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  folder = tmp_path_factory.mktemp('records')
  records.write(folder, 4)
  return records.write(folder, 4, 'others')


def batches(root, count=3, **changes):
  arguments = dict(sources=[(root, 'train', 1.)], batch_size=2, image_size=32, partial=[(root, 'others', 1.)],
                   partial_per_batch=3, training=True, seed=1, epoch=0)
  gin.parse_config('build_dataset.image_size = 32')
  return list(partial_labels.with_partial_labels(TASK, **{**arguments, **changes}).take(count).as_numpy_iterator())


def labelled(count=4):
  """Hands with every label, as the pipeline gives them."""
  made = example_batch.make_batch(count)
  return {**{name: value for name, value in made.items() if name != 'id'}, 'visibility': tf.ones([count, 21]),
          'crop_turn': tf.zeros([count])}


def with_other_depths(batch, scale):
  """The same hands with other 3D labels, whose 2D joints stay."""
  def moved(name, noise):
    random = np.random.default_rng(len(name))
    return batch[name] + tf.constant(scale * random.normal(size=batch[name].shape) * noise, tf.float32)
  names = ('joints_3d_m', 'pose', 'shape', 'root_depth_m', 'joints_3d_weight', 'joints_z_weight', 'parameters_weight')
  return {**batch, **{name: moved(name, 1.) for name in names}, 'joints_3d': moved('joints_3d', np.array([0., 0., 1.]))}


def test_skeletons_follow_the_labelled_hands_without_pictures(root):
  for batch in batches(root):
    assert all(len(value) == 5 for value in batch.values())
    assert np.all(batch['image'].max(axis=(1, 2, 3))[:2] > 0) and not np.any(batch['image'][2:])
    assert np.all(batch['joints_3d_weight'] == 1) and np.all(batch['joints_2d_weight'] == 1)


def test_other_modalities_can_be_hidden(root):
  batch, = batches(root, 1, hidden=('joints_2d',))
  assert not np.any(batch['joints_2d_weight'][2:]) and not np.any(batch['visibility'][2:])
  assert not np.any(batch['joints_2d'][2:]) and not np.any(batch['joints_3d'][2:, :, :2])
  assert np.all(batch['joints_2d_weight'][:2] == 1) and np.any(batch['image'][2:]) and np.any(batch['joints_3d'][2:])
  with pytest.raises(UserError, match="'mesh' is none of"):
    batches(root, 1, hidden=('mesh',))


def test_of_hands_with_2d_labels_only_the_2d_labels_stay(root):
  batch, = batches(root, 1, hidden=('joints_3d',))
  for name in ('joints_3d_m', 'joints_3d_weight', 'joints_z_weight', 'pose', 'shape', 'parameters_weight',
               'root_depth_m', 'training_distance'):
    assert np.any(batch[name][:2]) and not np.any(batch[name][2:]), name
  np.testing.assert_array_equal(batch['joints_3d'][2:, :, :2], batch['joints_2d'][2:])
  assert not np.any(batch['joints_3d'][2:, :, 2]) and np.any(batch['joints_3d'][:2, :, 2])
  assert np.all(batch['joints_2d_weight'] == 1) and np.any(batch['joints_2d'][2:]) and np.any(batch['image'][2:])


def test_a_share_of_the_records_lacks_labels_and_always_the_same_ones(root):
  seen = {}
  for batch in batches(root, 20, partial=(), hidden=('joints_3d',), hidden_share=0.5):
    for name, weights in zip(batch['id'], batch['joints_3d_weight']):
      assert seen.setdefault(name, weights.any()) == weights.any() and weights.all() == weights.any()
  assert len(seen) == 4
  names = tf.constant([f'{number:05d}' for number in range(4000)])
  few, many = (partial_labels.in_share(names, share).numpy() for share in (0.1, 0.6))
  assert few.mean() == pytest.approx(0.1, abs=0.03) and many.mean() == pytest.approx(0.6, abs=0.03)
  assert not np.any(few & ~many), 'a larger share has all of a smaller one'
  assert partial_labels.in_share(names, 1.).numpy().all() and not partial_labels.in_share(names, 0.).numpy().any()


def test_only_the_chosen_rows_change():
  batch = labelled(3)
  found = partial_labels.hide(batch, ['joints_3d'], tf.constant([False, True, False]))
  for name, value in found.items():
    np.testing.assert_array_equal(value[0], batch[name][0], name)
    np.testing.assert_array_equal(value[2], batch[name][2], name)
  assert not np.any(found['joints_3d_weight'][1]) and not np.any(found['pose'][1])


def test_nothing_is_left_of_what_is_hidden():
  batch = labelled()
  first, second = (partial_labels.hide(hands, ['joints_3d']) for hands in (batch, with_other_depths(batch, 1.)))
  assert set(first) == set(batch)
  for name, value in first.items():
    np.testing.assert_array_equal(value, second[name], name)


@pytest.mark.parametrize('name', METHODS)
def test_no_hidden_label_reaches_a_loss(name):
  tf.keras.utils.set_random_seed(0)
  model = METHODS[name]()
  model.compile(optimizer=tf.keras.optimizers.SGD())
  batch = labelled()
  hidden = partial_labels.hide(batch, ['joints_3d'])
  # Whatever stood in the place of the labels, their weights of 0 keep it from the losses.
  values = ('joints_3d_m', 'pose', 'shape', 'joints_3d')
  other = {**hidden, **{entry: with_other_depths(batch, 10.)[entry] for entry in values}}
  outputs = model(model.taken(batch), training=False)

  def costs(data):
    found = model.losses(data, outputs, training=False)
    return (found.total * found.known_weights).numpy()
  np.testing.assert_array_equal(costs(hidden), costs(other))
  assert np.isfinite(costs(hidden)).all()
  assert np.abs(costs(batch) - costs(with_other_depths(batch, 0.1))).max() > 1e-3, 'labels that are not hidden do'


def test_batches_are_the_same_after_a_stop(root):
  whole, rest = batches(root, 3), batches(root, 1, skip_batches=2)
  for name, value in rest[0].items():
    np.testing.assert_array_equal(value, whole[2][name])


def test_nothing_is_added_to_a_measurement_and_hands_must_be_named(root):
  for share in (0., 0.5):
    found = batches(root, 9, training=False, hidden_share=share, hidden=('joints_3d',))
    assert sum(len(batch['image']) for batch in found) == 4
    assert all(np.all(batch['joints_3d_weight'] == 1) for batch in found)
  with pytest.raises(UserError, match='with_partial_labels.partial is empty'):
    batches(root, partial=())
