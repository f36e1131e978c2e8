"""Flags that the hand task adds to commands. This module imports no TensorFlow, so that --help is fast."""
from absl import flags

SIDES = ('right', 'left')
ROOT_DEPTHS = ('truth', 'fitted')


def define(command: str, values: flags.FlagValues) -> None:
  """Defines the flags for 'predict', 'evaluate' or 'validate'; other commands get none."""
  if command == 'predict':
    _define_predict(values)
  elif command == 'evaluate':
    flags.DEFINE_enum('root_depth', ROOT_DEPTHS[0], ROOT_DEPTHS, 'Depth at which protocols turn crops into metres: the '
                      'true one, or that at which the predicted hand has its size.', flag_values=values)
  elif command == 'validate':
    _define_validate(values)


def _define_predict(values: flags.FlagValues) -> None:
  """Defines the flags for 'predict'."""
  flags.DEFINE_list('box', None, 'Box around one hand as left,top,width,height in pixels, or "whole" for the '
                    'photograph. The shipped model looks for the hand in it; models that see the box itself want it '
                    '1.5 times as large as the hand. Without it all hands are found.', flag_values=values)
  flags.DEFINE_enum('side', None, SIDES, 'Which hand, in an unmirrored photograph; found without it.',
                    flag_values=values)
  flags.DEFINE_bool('overlay', True, 'Whether to write the photograph or video with the hands drawn over it.',
                    flag_values=values)
  flags.DEFINE_list('intrinsics', None, 'Camera as fx,fy,cx,cy in pixels; results are then placed before the camera.',
                    flag_values=values)
  flags.DEFINE_float('root_depth_m', None, 'Depth of the middle knuckle in metres where it is known, with '
                     '--intrinsics; without it the hand has the size that its shape says.', lower_bound=1e-3,
                     flag_values=values)
  flags.DEFINE_string('joints', None, 'Labels (.jsonl, as convert_jsonl takes them) with joints_2d_px of the '
                      'photographs, for methods that take 2D joints.', flag_values=values)
  flags.DEFINE_bool('smoothing', True, 'Whether the hands of a video move smoothly and keep one shape; otherwise each '
                    'frame stands for itself.', flag_values=values)
  flags.DEFINE_bool('gltf', False, 'Whether to write the moving hands of a video as .glb files.', flag_values=values)


def _define_validate(values: flags.FlagValues) -> None:
  """Defines the flags for 'validate'."""
  flags.DEFINE_string('hand_model', None, 'MANO_RIGHT.pkl, where pose and shape belong to MANO.', flag_values=values)
  flags.DEFINE_float('tolerance_px', 1., 'Largest distance of 2D labels from projected 3D labels.', flag_values=values)
  flags.DEFINE_integer('placement_records', 500, 'Pictures a split to check the place of the labels in.', lower_bound=0,
                       flag_values=values)
