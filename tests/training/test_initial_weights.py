import numpy as np
import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.training import initial_weights
from tests.training import tiny


@pytest.fixture(scope='module')
def first(tmp_path_factory):
  """A training's folder and its model."""
  folder = str(tmp_path_factory.mktemp('first'))
  trainer = tiny.trainer(folder, epochs=1)
  trainer.run()
  return folder, trainer.model


def start(model_dir, weights='', seed=1, **architecture):
  return tiny.trainer(model_dir, lambda: tiny.build_tiny_model(**architecture), epochs=1, seed=seed,
                      initial_weights=weights)


def assert_layer(found, expected, name, other=None):
  for value, wanted in zip(found.get_layer(name).get_weights(), expected.get_layer(other or name).get_weights()):
    np.testing.assert_array_equal(value, wanted)


def test_takes_over_the_layers_that_agree_in_name_and_size(first, tmp_path):
  folder, trained = first
  fresh = start(tmp_path / 'fresh', last='others').model
  trainer = start(tmp_path / 'next', folder, last='others')
  assert_layer(trainer.model, trained, 'hidden')
  assert_layer(trainer.model, fresh, 'others')
  assert int(trainer.model.optimizer.iterations) == 0
  assert initial_weights.take_over(folder, trainer.model).endswith('hidden; new: others')


def test_a_layer_that_fits_in_part_is_left_as_it_was(first, tmp_path):
  # The bias of the last layer has its size there, the kernel has not; nothing of the hidden layer fits.
  model = tiny.build_tiny_model(units=5)
  before = model.get_weights()
  with pytest.raises(UserError, match='no layer in it fits this model'):
    initial_weights.take_over(first[0], model)
  for value, wanted in zip(model.get_weights(), before):
    np.testing.assert_array_equal(value, wanted)


def test_a_training_with_a_checkpoint_goes_on_from_its_own(first, tmp_path):
  trainer = start(tmp_path, seed=2)
  trainer.run()
  again = start(tmp_path, '/no/such/folder', seed=2)
  assert_layer(again.model, trainer.model, 'hidden')


def test_what_is_missing_is_named(tmp_path):
  with pytest.raises(UserError, match='no such folder; give the --model_dir of a training'):
    start(tmp_path / 'next', str(tmp_path / 'none'))
  (tmp_path / 'empty').mkdir()
  with pytest.raises(UserError, match='holds no checkpoint'):
    start(tmp_path / 'next', str(tmp_path / 'empty'))
