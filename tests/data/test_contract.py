import pytest
import tensorflow as tf

from dhpe_tf.data import contract, input_pipeline
from dhpe_tf.data.contract import Entry
from dhpe_tf.errors import UserError
from tests.data import records
from tests.tasks.hand.hands import TASK

CONTRACT = {'image': Entry(('B', 'S', 'S', 3), 'float32', 'picture'), 'joints': Entry(('B', 21, 2), 'float32', 'px'),
            'features': Entry(('B', None), 'float32', 'any'), 'id': Entry(('B',), 'string', 'name', optional=True)}


def specs(**changes):
  given = {'image': tf.TensorSpec([None, 8, 8, 3]), 'joints': tf.TensorSpec([4, 21, 2]),
           'features': tf.TensorSpec([4, 17]), **changes}
  return {name: spec for name, spec in given.items() if spec is not None}


def test_what_fits_passes():
  contract.check(specs(), CONTRACT, 'batch')
  contract.check(specs(id=tf.TensorSpec([None], tf.string)), CONTRACT, 'batch', strict=True)
  contract.check(specs(further=tf.TensorSpec([])), CONTRACT, 'batch')
  contract.check(specs(image=tf.TensorSpec(None)), CONTRACT, 'batch')  # nothing is known of its shape


@pytest.mark.parametrize('changes, message', [
    ({'joints': None}, 'the batch lacks joints; it has features, image'),
    ({'joints': tf.TensorSpec([4, 20, 2])}, r'joints has shape \[4, 20, 2\], not \[B, 21, 2\] with B = 4'),
    ({'joints': tf.TensorSpec([4, 42])}, r'joints has shape \[4, 42\], not'),
    ({'joints': tf.TensorSpec([4, 21, 2], tf.int32)}, 'joints is of type int32, not float32'),
    ({'image': tf.TensorSpec([None, 8, 9, 3])}, r'image has shape \[\?, 8, 9, 3\], not \[B, S, S, 3\] with S = 8'),
    ({'features': tf.TensorSpec([5, 17])}, r'features has shape \[5, 17\], not \[B, \?\] with B = 4'),
])
def test_what_does_not_is_named(changes, message):
  with pytest.raises(UserError, match=message):
    contract.check(specs(**changes), CONTRACT, 'the batch')


def test_strict_refuses_unknown_names():
  with pytest.raises(UserError, match='batch holds further, which its contract does not know; it knows image, joints'):
    contract.check(specs(further=tf.TensorSpec([])), CONTRACT, 'batch', strict=True)


def test_instances_that_break_the_batch_contract_stop_before_training(tmp_path, monkeypatch):
  root = records.write(str(tmp_path), 3)
  made = type(TASK).instance

  def short(self, *arguments):
    instance = made(self, *arguments)
    return {**instance, 'joints_2d': instance['joints_2d'][:20]}
  monkeypatch.setattr(type(TASK), 'instance', short)
  with pytest.raises(UserError, match=r'a batch of the task hand: joints_2d has shape \[2, 20, 2\], not \[B, 21, 2\]'):
    input_pipeline.build_dataset(TASK, [(root, 'train', 1.)], batch_size=2, image_size=32)
