"""Draws hands of a trained cross-modal VAE: walks through its codes, or hands generated from random codes.

  python -m data_tools.view_codes --model_dir=runs/vae --records=records/bench --split=interp --output=walks.png
  python -m data_tools.view_codes --model_dir=runs/vae --output=walks.png
  python -m data_tools.view_codes --model_dir=runs/vae --generate=24 --output=hands.png --joints=hands.npz

Each row is a walk: the codes lie on a straight line between those of two hands of --records, or without records between
two random codes. Each cell shows the decoded 3D joints from the camera, and below from the right; with a decoder of
pictures the picture is below. --generate draws hands of random codes instead; --joints keeps them as arrays by name, 3D
joints relative to the middle MCP in units of the bone from the wrist to it, 2D joints in the crop.
"""
import numpy as np
from absl import flags

from dhpe_tf import command_line, files

_FLAGS = flags.FlagValues()
flags.DEFINE_string('model_dir', None, 'folder of a training of the cross-modal VAE', flag_values=_FLAGS)
flags.DEFINE_string('output', None, 'the PNG file', flag_values=_FLAGS)
flags.DEFINE_string('records', None, 'folder of a record set whose hands are the ends of the walks', flag_values=_FLAGS)
flags.DEFINE_string('split', 'eval', 'which split of it', flag_values=_FLAGS)
flags.DEFINE_integer('walks', 6, 'how many walks', lower_bound=1, upper_bound=1000, flag_values=_FLAGS)
flags.DEFINE_integer('steps', 10, 'hands of a walk', lower_bound=2, upper_bound=1000, flag_values=_FLAGS)
flags.DEFINE_integer('generate', 0, 'hands of random codes instead of walks', lower_bound=0, upper_bound=100_000,
                     flag_values=_FLAGS)
flags.DEFINE_string('joints', None, 'an .npz file for the joints of the hands that are drawn', flag_values=_FLAGS)
flags.DEFINE_integer('cell', 96, 'side of a view, px', lower_bound=32, upper_bound=1024, flag_values=_FLAGS)
flags.DEFINE_integer('seed', 0, 'of random codes', lower_bound=0, flag_values=_FLAGS)
flags.DEFINE_multi_string('gin_param', [], 'setting that overrides one of the training', flag_values=_FLAGS)
command_line.define_import_flag(_FLAGS)
flags.mark_flags_as_required(['model_dir', 'output'], _FLAGS)

_REACH = 1.7  # bones from the middle MCP that a view shows; a stretched hand just fits


def main(argv: list[str]) -> None:
  """Draws walks or generated hands to --output.

  Raises:
    UserError: no training of this method, too few records, or a file cannot be written.
  """
  del argv
  from dhpe_tf.errors import UserError
  from dhpe_tf.files import atomic_path
  from dhpe_tf.methods.cross_modal_vae.model import CrossModalVae
  from dhpe_tf.training.trained import load_trained
  from dhpe_tf.visualization import pictures
  files.check_output(_FLAGS.output)
  experiment, method = load_trained(_FLAGS.model_dir, _FLAGS.gin_param)
  if not isinstance(method, CrossModalVae):
    raise UserError(f'{_FLAGS.model_dir} is no training of the cross-modal VAE but of {type(method).__name__}; give '
                    'one of gin/methods/cross_modal_vae.gin')
  codes, columns = _codes(experiment, method)
  hands = {name: np.asarray(value) for name, value in method.decode(codes).items()}
  cells = [_cell({name: value[number] for name, value in hands.items()}) for number in range(len(codes))]
  pictures.write_png(_FLAGS.output, pictures.sheet(cells, columns))
  if _FLAGS.joints:
    with atomic_path(_FLAGS.joints) as path, open(path, 'wb') as file:
      np.savez_compressed(file, **{name: value for name, value in hands.items() if name != 'picture'})
  print(f'{_FLAGS.output}: {len(codes)} hands')


def _codes(experiment, method) -> tuple:
  """The codes [N, D] to draw, and how many a row holds."""
  import tensorflow as tf

  from dhpe_tf.methods.cross_modal_vae import codes
  if _FLAGS.generate:
    return _random(_FLAGS.generate, method.latent), _FLAGS.steps
  if _FLAGS.records:
    ends = _of_records(experiment, method, 2 * _FLAGS.walks)
  else:
    ends = _random(2 * _FLAGS.walks, method.latent)
  walks = codes.between(ends[::2], ends[1::2], _FLAGS.steps)
  return tf.reshape(walks, [-1, method.latent]), _FLAGS.steps


def _random(count: int, latent: int):
  """Codes [N, D] of N(0, I)."""
  import tensorflow as tf
  return tf.random.stateless_normal([count, latent], [_FLAGS.seed, 0])


def _of_records(experiment, method, count: int):
  """The codes [count, D] of the first hands of --records.

  Raises:
    UserError: there are fewer.
  """
  import tensorflow as tf

  from dhpe_tf.errors import UserError
  parts = [method(method.taken(batch), training=False)['mean']
           for batch in experiment.records(_FLAGS.records, _FLAGS.split, batch_size=1).take(count)]
  if len(parts) < count:
    raise UserError(f'{_FLAGS.records} {_FLAGS.split} has {len(parts)} hands, {_FLAGS.walks} walks need {count}; lower '
                    '--walks')
  return tf.concat(parts, axis=0)


def _cell(hand: dict) -> np.ndarray:
  """One hand from the camera, from the right and, if it is decoded, as a picture: uint8 [H, W, 3]."""
  import tensorflow as tf

  from dhpe_tf.visualization import overlay, pictures
  side = _FLAGS.cell
  joints = hand['canonical_joints'] / _REACH
  views = [overlay.draw_skeleton(overlay.blank(side), view) for view in (joints[:, :2], joints[:, [2, 1]])]
  if 'picture' in hand:
    views.append(np.clip(tf.image.resize(hand['picture'], [side, side], 'bicubic').numpy(), 0, 1))
  return pictures.to_bytes(np.concatenate(views))


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
