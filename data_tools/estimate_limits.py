"""Estimates anatomical limits of bones and joints from labelled hands, for `losses.biomechanics`.

  python -m data_tools.estimate_limits --records=records/rhd --split=train --output=limits.json
  python -m data_tools.estimate_limits --output=limits.json              (from random hands of the built-in hand model)

The file holds intervals of the lengths of the bones and of the shape of the palm, and a polygon of flexion and
abduction for each joint. A training uses it by --gin_param="losses.biomechanics.limits_file = 'limits.json'".
"""
import numpy as np
from absl import flags
from tqdm import tqdm

from dhpe_tf import command_line
from dhpe_tf.errors import UserError
from dhpe_tf.files import check_output

_FLAGS = flags.FlagValues()
flags.DEFINE_string('output', None, 'JSON file to write.', flag_values=_FLAGS)
flags.DEFINE_string('records', None, 'Record set with 3D joints; random hands of the hand model without it.',
                    flag_values=_FLAGS)
flags.DEFINE_string('split', 'train', 'Split of the record set.', flag_values=_FLAGS)
flags.DEFINE_string('hand_model', None, 'Hand model file (.npz, MANO .pkl); the built-in hand without one.',
                    flag_values=_FLAGS)
flags.DEFINE_integer('count', 20000, 'Number of random hands, or of labelled ones at most.', lower_bound=3,
                     upper_bound=10**6, flag_values=_FLAGS)
flags.DEFINE_float('kept', 0.9995, 'Share of the hands that each limit keeps inside.', lower_bound=0.5, upper_bound=1.,
                   flag_values=_FLAGS)
flags.DEFINE_integer('seed', 0, 'Seed of the random hands.', lower_bound=0, upper_bound=2**31 - 1, flag_values=_FLAGS)
flags.mark_flag_as_required('output', _FLAGS)

_AT_ONCE = 2000  # hands whose meshes are in memory together


def main(_) -> None:
  """Estimates the limits and writes them.

  Raises:
    UserError: no record with all 3D joints, or the file cannot be written.
  """
  from dhpe_tf.hand import bone_limits
  from dhpe_tf.tasks.task import write_json
  check_output(_FLAGS.output)
  if _FLAGS.records:
    joints, source = labelled_joints_m(_FLAGS.records, _FLAGS.split, _FLAGS.count), f'{_FLAGS.records}, {_FLAGS.split}'
  else:
    joints, source = random_joints_m(_FLAGS.hand_model, _FLAGS.count, _FLAGS.seed), 'random, of the hand model'
  limits = bone_limits.estimate(joints, _FLAGS.kept)
  write_json(_FLAGS.output, {'made_from': f'{len(joints)} hands ({source})', **limits.to_json()})
  print(f'wrote {_FLAGS.output}: limits of {len(joints)} hands, '
        f'{np.mean([len(corners) for corners in limits.polygons]):.1f} corners for a joint')


def random_joints_m(hand_model_file: str, count: int, seed: int) -> np.ndarray:
  """Joints [N, 21, 3] of random poses and shapes of a right hand, metres."""
  from dhpe_tf.hand.anatomy import sample_poses
  from dhpe_tf.hand.hand_model import NUM_SHAPE, load_hand_model
  from dhpe_tf.hand.mano_layer import ManoLayer
  model = load_hand_model(hand_model_file)
  layer, shapes = ManoLayer(model), np.random.default_rng(seed).normal(size=[count, NUM_SHAPE]).clip(-2, 2)
  found = []
  with tqdm(total=count, unit=' hands') as bar:
    for number, some in enumerate(np.split(shapes.astype(np.float32), range(_AT_ONCE, count, _AT_ONCE))):
      found.append(layer(sample_poses(len(some), seed + number, model), some)['keypoints'].numpy())
      bar.update(len(some))
  return np.concatenate(found)


def labelled_joints_m(records: str, split: str, most: int) -> np.ndarray:
  """Joints [N, 21, 3] of the hands of a split whose joints are all labelled in 3D, metres, as right hands.

  Raises:
    UserError: there are fewer than three of them.
  """
  from dhpe_tf.data import tfrecords
  from dhpe_tf.tasks.hand.record import SCHEMA
  found = []
  for record in tfrecords.read(records, split, SCHEMA).as_numpy_iterator():
    if (record['hand/joints_3d_valid'] > 0).all():
      found.append(record['hand/joints_3d_m'] * ([-1., 1., 1.] if record['hand/side'] == b'left' else 1.))
    if len(found) == most:
      break
  if len(found) < 3:
    raise UserError(f'{records}: {len(found)} hands of the split {split} have all joints labelled in 3D; at least 3 '
                    'are needed, better thousands')
  return np.stack(found)


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
