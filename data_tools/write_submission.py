"""Writes what a model answers to a split of the generalisation bench as a text file of the HANDS 2019 challenge.

  python -m data_tools.write_submission --model=runs/bench --data=records/bench --split=interp --output=interp.txt

A line is a picture: its name and 63 numbers, millimetres in the camera's frame, see `tasks.hand.bench.submission`. The
records need cameras. A crop of a colour picture does not tell how far a hand is: by default it is put where it has the
size that the model gives it, by --root_depth=truth at the labelled depth of its middle MCP, as the protocol hands19
does. --labels writes the labels of the split in the same form beside it.
"""
import numpy as np
from absl import flags
from tqdm import tqdm

from dhpe_tf import command_line, files

_FLAGS = flags.FlagValues()
flags.DEFINE_string('model', None, 'folder of a training or of an export', flag_values=_FLAGS)
flags.DEFINE_string('data', None, 'folder of the record set', flag_values=_FLAGS)
flags.DEFINE_string('split', 'interp', 'split of it', flag_values=_FLAGS)
flags.DEFINE_string('output', None, 'text file to write', flag_values=_FLAGS)
flags.DEFINE_string('labels', None, 'text file for the labels', flag_values=_FLAGS)
flags.DEFINE_enum('root_depth', 'fitted', ['fitted', 'truth'], 'where hands are put', flag_values=_FLAGS)
flags.DEFINE_integer('batch_size', 32, 'pictures at once', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_multi_string('gin_param', [], 'setting that overrides one of the training', flag_values=_FLAGS)
command_line.define_import_flag(_FLAGS)
flags.mark_flags_as_required(['model', 'data', 'output'], _FLAGS)


def main(argv: list[str]) -> None:
  """Answers the pictures of --split and writes the joints to --output.

  Raises:
    UserError: no model, no records, a record without a camera, or a file cannot be written.
  """
  del argv
  from dhpe_tf.data import tfrecords
  from dhpe_tf.inference import predictor as predictors
  from dhpe_tf.tasks.hand.bench import submission
  for path in filter(None, (_FLAGS.output, _FLAGS.labels)):
    files.check_output(path)
  predictor = predictors.load(_FLAGS.model, _FLAGS.gin_param)
  count = -(-tfrecords.count(_FLAGS.data, _FLAGS.split) // _FLAGS.batch_size)
  parts = [_hands(predictor, batch) for batch in tqdm(_batches(predictor), _FLAGS.split, count, unit=' batches')]
  names, found, true = (np.concatenate(part) for part in zip(*parts))
  submission.write(_FLAGS.output, names.tolist(), found)
  if _FLAGS.labels:
    submission.write(_FLAGS.labels, names.tolist(), true)
  print(f'{_FLAGS.output}: {len(names)} hands')


def _batches(predictor):
  """The batches of the split in order, as the model sees hands."""
  from dhpe_tf.data import input_pipeline
  predictor.task.prepare(predictor.card)
  size = predictor.input_specs['image'].shape[1] if 'image' in predictor.input_specs else 32
  return input_pipeline.build_dataset(predictor.task, [(_FLAGS.data, _FLAGS.split, 1.)], _FLAGS.batch_size, size,
                                      training=False)


def _hands(predictor, batch: dict) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Names [N], answered joints and true ones [N, 21, 3], metres in the camera's frame, of one batch."""
  from dhpe_tf.methods.method import inputs_of
  from dhpe_tf.tasks.hand import metric_space, predictions
  labels = {name: np.asarray(value) for name, value in batch.items()}
  names = np.array([name.decode(errors='replace') for name in labels['id']])
  _check_cameras(names, labels)
  answer = predictor.answer(inputs_of(batch, predictor.input_specs))
  joints = metric_space.joints_m(predictions.from_outputs(answer, 1), labels, _FLAGS.root_depth)
  return names, _in_picture(joints, labels), _in_picture(labels['joints_3d_m'], labels)


def _check_cameras(names: np.ndarray, labels: dict) -> None:
  """Raises a UserError that names the first picture without a camera or a depth of its hand."""
  from dhpe_tf.errors import UserError
  missing = np.flatnonzero(~((labels['root_depth_m'] > 0) & (labels['intrinsics'][:, 0, 0] > 0)))
  if len(missing):
    raise UserError(f'{_FLAGS.data}, {_FLAGS.split}: {names[missing[0]]} has no camera, without which its hand has no '
                    'place; give records with camera/intrinsics and 3D joints in camera space')


def _in_picture(joints: np.ndarray, labels: dict) -> np.ndarray:
  """Joints [N, 21, 3] of turned crops of right hands as the camera sees them: turned back, left hands mirrored."""
  from dhpe_tf.geometry import crops
  turned = crops.turn(joints.astype(np.float64), -labels['crop_turn'].astype(np.float64)).numpy()
  return np.where(labels['is_left'][:, None, None], turned * [-1., 1., 1.], turned)


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
