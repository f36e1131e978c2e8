"""A training of the version before tasks and methods, in the folder beside, loads and answers as it did.

training_0_1 holds the configuration, the checkpoint and the answers to two images of a model of that version, its
networks small, its weights moved away from their start.
"""
import pathlib

import gin
import numpy as np
import pytest

from dhpe_tf import configuration, renamed_settings
from dhpe_tf.training import trained

FOLDER = pathlib.Path(__file__).parent / 'training_0_1'


@pytest.fixture(autouse=True)
def _clean():
  yield
  gin.clear_config()


def test_the_answers_are_those_of_then():
  experiment, model = trained.load_trained(str(FOLDER))
  assert experiment.task.name == 'hand'
  images = np.random.RandomState(1).uniform(size=[2, 64, 64, 3]).astype(np.float32)
  outputs = model(images, training=False)
  with np.load(FOLDER / 'expected.npz') as expected:
    assert np.abs(expected['features']).max() > 0.05 and np.abs(expected['pose']).max() > 0.4
    for name in expected:
      np.testing.assert_allclose(outputs[name], expected[name], atol=1e-6, rtol=1e-5, err_msg=name)


def test_settings_mean_what_they_meant():
  configuration.load(saved=str(FOLDER / configuration.CONFIG_FILE))
  assert gin.query_parameter('loss_weights.refiner') == 2.0
  assert gin.query_parameter('loss_weights.joint_limits') == 0.02
  assert [str(callback) for callback in gin.query_parameter('train.callbacks')] == [
      '@train.pictures', '@train.held_out_measures']


@pytest.mark.parametrize('former, now', [
    ('train.build_model = @baselines.lifting', 'Experiment.method = @lifting.pose_prior'),
    ('lifting.dropout = 0.1', 'lifting.pose_prior.dropout = 0.1'),
    ('swarm.generations = 2', 'minimise_by_swarm.generations = 2'),
    ('baselines.particle_swarm.particles = 8', 'model_fitting.particle_swarm.particles = 8'),
    ("build_model.hand_file = 'mano.npz'", "HandTask.hand_file = 'mano.npz'"),
    ('build_model.image_size = 64', 'dhpe.build_model.image_size = 64'),
    ('Experiment.method = @build_model', 'Experiment.method = @dhpe.build_model'),
    ('eval/dhpe_tf.build_dataset.batch_size = 2', 'eval/build_dataset.batch_size = 2'),
    ('dhpe_tf.crop.box_margin = 1.1', 'hand_crop.box_margin = 1.1'),
    ('selfsup.Offspring.seeds_per_batch = 0', 'selfsup.Offspring.parents_per_batch = 0'),
    ('build_optimizer.schedule = @schedules.constant', 'build_optimizer.schedule = @constant_rate'),
    ('train/schedules.constant.learning_rate = 0.1', 'train/constant_rate.learning_rate = 0.1'),
    ('Experiment.dataset = @cross_modal_vae.with_skeletons', 'Experiment.dataset = @hand.with_partial_labels'),
    ('with_skeletons.skeletons = []', 'with_partial_labels.partial = []'),
    ('cross_modal_vae.with_skeletons.skeletons_per_batch = 8', 'with_partial_labels.partial_per_batch = 8'),
    ("with_skeletons.hidden = ['image']", "with_partial_labels.hidden = ['image']"),
    ('train.epochs = 3', 'train.epochs = 3')])
def test_former_names_become_todays_and_those_stay(former, now):
  assert renamed_settings.renew(former) == now
  assert renamed_settings.renew(now) == now
