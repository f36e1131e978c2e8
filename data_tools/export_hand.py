"""Writes a hand as a mesh file, or many hands as a picture.

  python -m data_tools.export_hand --gesture=fist --output=fist.obj       (or .ply, with colours)
  python -m data_tools.export_hand --gesture=all --output=hand.glb        glTF with skin, joints and an animation
  python -m data_tools.export_hand --gesture=random --shape=random --count=20 --output=hands.png

The picture shows each hand from the back and from the palm.
"""
import os

import numpy as np
from absl import flags

from dhpe_tf import command_line
from dhpe_tf.errors import UserError
from dhpe_tf.files import check_output

KINDS = ('.obj', '.ply', '.glb', '.png')
_SECONDS_A_GESTURE = 0.8
_LARGEST_SHAPE = 100  # standard deviations; beyond 3 there are no such hands
_FLAGS = flags.FlagValues()
flags.DEFINE_string('output', None, 'file to write: .obj, .ply, .glb or .png', flag_values=_FLAGS)
flags.DEFINE_string('gesture', 'flat', 'name of a gesture, "all" or "random"; .obj and .ply show the first',
                    flag_values=_FLAGS)
flags.DEFINE_string('shape', 'mean', '"mean", "random" or up to ten numbers with commas between', flag_values=_FLAGS)
flags.DEFINE_string('hand_model', None, 'a hand model file (.npz, MANO .pkl); the built-in hand without one',
                    flag_values=_FLAGS)
flags.DEFINE_enum('side', 'right', ['right', 'left'], 'which hand', flag_values=_FLAGS)
flags.DEFINE_integer('count', 20, 'random hands', lower_bound=1, upper_bound=1000, flag_values=_FLAGS)
flags.DEFINE_integer('seed', 0, 'of poses, shapes and skins', lower_bound=0, upper_bound=2**31 - 1, flag_values=_FLAGS)
flags.mark_flag_as_required('output', _FLAGS)


def main(_) -> None:
  """Poses the hands that the flags describe and writes them to --output.

  Raises:
    UserError: unknown gesture, bad shape, or another file ending.
  """
  from dhpe_tf.hand.hand_model import load_hand_model
  kind = os.path.splitext(_FLAGS.output)[1]
  if kind not in KINDS:
    raise UserError(f'--output={_FLAGS.output} must end in {", ".join(KINDS)}')
  check_output(_FLAGS.output)
  model = load_hand_model(_FLAGS.hand_model, side=_FLAGS.side)
  poses = choose_poses(_FLAGS.gesture, model, _FLAGS.count, _FLAGS.seed)
  if len(poses) == 1 and _FLAGS.shape == 'random' and kind == '.png':
    poses = np.repeat(poses, _FLAGS.count, axis=0)
  shapes = choose_shapes(_FLAGS.shape, len(poses), _FLAGS.seed)
  if kind == '.png':
    from dhpe_tf.visualization import hand_sheet, pictures
    pictures.write_png(_FLAGS.output, hand_sheet.draw_hands(model, poses, shapes, _FLAGS.seed))
  else:
    _write_mesh(kind, model, poses, shapes[:1])
  print(f'wrote {_FLAGS.output}')


def choose_poses(gesture: str, model, count: int, seed: int) -> np.ndarray:
  """Returns the poses of one gesture, of all gestures, or random ones.

  Args:
    gesture: name of a gesture, 'all' or 'random'.
    model: the hand model.
    count: number of random poses.
    seed: of random poses.

  Returns:
    [N, 45] axis-angle about the flat hand, radians.

  Raises:
    UserError: unknown gesture.
  """
  from dhpe_tf.hand import anatomy
  if gesture == 'random':
    return anatomy.sample_poses(count, seed, model).astype(np.float64)
  if gesture != 'all' and gesture not in anatomy.GESTURES:
    raise UserError(f'--gesture={gesture} is unknown; known: all, random, {", ".join(anatomy.GESTURES)}')
  names = list(anatomy.GESTURES) if gesture == 'all' else [gesture]
  return np.stack([anatomy.gesture_pose(name, model) for name in names])


def choose_shapes(text: str, count: int, seed: int) -> np.ndarray:
  """Returns the shapes that --shape describes.

  Args:
    text: 'mean', 'random' or up to ten numbers separated by commas; missing ones are 0.
    count: N.
    seed: of random shapes.

  Returns:
    [N, 10].

  Raises:
    UserError: not a list of up to ten numbers, or one that is far too large.
  """
  if text == 'random':
    return np.random.default_rng(seed).normal(size=[count, 10])
  try:
    values = [] if text == 'mean' else [float(x) for x in text.split(',')]
  except ValueError as error:
    raise UserError(f'--shape={text} must be "mean", "random" or numbers with commas between') from error
  if len(values) > 10 or not (np.abs(values) <= _LARGEST_SHAPE).all():
    raise UserError(f'--shape={text} must hold up to 10 numbers, standard deviations within ±{_LARGEST_SHAPE}')
  return np.tile(values + [0.0] * (10 - len(values)), [count, 1])


def _write_mesh(kind: str, model, poses: np.ndarray, shapes: np.ndarray) -> None:
  """Writes the first pose, or for .glb all poses as an animation, with a random skin.

  Args:
    kind: the file ending.
    model: the hand model.
    poses: [N, 45].
    shapes: [1, 10].
  """
  from dhpe_tf.hand.mano_layer import ManoLayer
  from dhpe_tf.hand.parameters import upright
  from dhpe_tf.rendering import shading, texture
  from dhpe_tf.visualization import gltf, mesh_files
  colors = shading.to_display(texture.sample_skin(model, 1, _FLAGS.seed)[0]).numpy()
  camera = np.array([*upright(model.side), 1, 0, 0, 0])
  if kind == '.glb':
    gltf.write_gltf(_FLAGS.output, model, poses, shapes[0], camera, colors, fps=1 / _SECONDS_A_GESTURE)
    return
  vertices = ManoLayer(model)(poses[:1], shapes, camera[None])['vertices'][0].numpy()
  if kind == '.ply':
    mesh_files.write_ply(_FLAGS.output, vertices, model.closed_faces, colors, model.name)
  else:
    mesh_files.write_obj(_FLAGS.output, vertices, model.closed_faces, model.name)


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
