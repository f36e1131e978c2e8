"""Lays a hand mesh over photographs.

  python -m dhpe_tf.predict --model=exported/quickstart --input=hand.jpg --output=results --box=120,80,260,260

For each photograph it writes <stem>_overlay.png (the photograph, mesh, skeleton, and the mesh turned by 90 degrees),
<stem>.obj and <stem>.json: image, size (height, width), joint_order, and hands: side, box, joints_2d_px (pixels of the
photograph), joints_3d_m and vertices_m (camera axes: x right, y down, z forward; relative to the middle MCP unless
--intrinsics are given), pose, shape, camera (of the right-hand model; a left hand is its mirror image) and score.
"""
import os
import sys
from typing import Optional

from absl import flags

from dhpe_tf import command_line
from dhpe_tf.errors import UserError

_FLAGS = flags.FlagValues()
flags.DEFINE_string('model', None, 'Folder of an export, of one of its versions, or of a training.', flag_values=_FLAGS)
flags.DEFINE_string('input', None, 'Photograph, or folder of photographs.', flag_values=_FLAGS)
flags.DEFINE_string('output', None, 'Folder for the results.', flag_values=_FLAGS)
flags.DEFINE_list('box', None, 'Square around the hand as left,top,width,height in pixels, with a margin: its side '
                  'about 1.5 times the hand. Without it the whole photograph is taken.', flag_values=_FLAGS)
flags.DEFINE_enum('side', 'right', ['right', 'left'], 'Which hand, in an unmirrored photograph.', flag_values=_FLAGS)
flags.DEFINE_list('intrinsics', None, 'Camera as fx,fy,cx,cy in pixels; results are then placed before the camera.',
                  flag_values=_FLAGS)
flags.DEFINE_float('root_depth_m', None, 'Depth of the middle knuckle in metres where it is known, with --intrinsics; '
                   'without it the hand has the size that its shape says.', lower_bound=1e-3, flag_values=_FLAGS)
flags.DEFINE_integer('refine_steps', 0, 'Steps of test-time refinement; the paper takes 50.', lower_bound=0,
                     flag_values=_FLAGS)
flags.mark_flags_as_required(['model', 'input', 'output'], _FLAGS)


def main(argv: list[str]) -> None:
  """Predicts."""
  del argv
  box = _numbers('box', 'left,top,width,height')
  intrinsics = _numbers('intrinsics', 'fx,fy,cx,cy')
  if intrinsics and min(intrinsics[:2]) <= 0.:
    raise UserError(f'--intrinsics={",".join(_FLAGS.intrinsics)}: the focal lengths fx and fy must be positive.')
  if _FLAGS.root_depth_m and not intrinsics:
    raise UserError('--root_depth_m needs --intrinsics: without a camera nothing is placed.')
  from tqdm import tqdm

  from dhpe_tf.serving import prediction

  paths = prediction.list_pictures(_FLAGS.input)
  predictor = _load(_FLAGS.model)
  faults, written = [], {}
  for path in tqdm(paths, unit='picture', disable=len(paths) == 1):
    stem = os.path.splitext(os.path.basename(path))[0]
    try:
      if stem in written:
        raise UserError(f'{path}: its results would replace those of {written[stem]}; rename one of them.')
      prediction.predict_file(predictor, path, _FLAGS.output, box, _FLAGS.side, intrinsics, _FLAGS.refine_steps,
                              _FLAGS.root_depth_m)
      written[stem] = path
    except UserError as error:
      faults.append(str(error))
  _report(faults, len(paths))


def _load(path: str):
  """A predictor from an export or from a training's folder."""
  from dhpe_tf.serving import predictor
  if not os.path.isdir(path):
    raise UserError(f'{path}: no such folder; give an export or the --model_dir of a training.')
  export = predictor.find_export(path)
  if export:
    return predictor.from_export(export)
  from dhpe_tf.refinement import at_test_time
  from dhpe_tf.training.trained import load_trained
  model = load_trained(path)
  refine = at_test_time.serving_function(model) if _FLAGS.refine_steps and at_test_time.can_refine(model) else None
  return predictor.from_model(model, model.hand_model, refine)


def _numbers(flag: str, form: str) -> Optional[list[float]]:
  texts = _FLAGS[flag].value
  if texts is None:
    return None
  try:
    values = [float(text) for text in texts]
  except ValueError:
    values = []
  if len(values) != 4:
    raise UserError(f'--{flag}={",".join(texts)}: it must be four numbers, {form}.')
  return values


def _report(faults: list[str], count: int) -> None:
  """Names the pictures that failed; raises if there are any."""
  if len(faults) == 1 and count == 1:
    raise UserError(faults[0])
  for fault in faults:
    print(f'  {fault}', file=sys.stderr)
  if faults:
    raise UserError(f'{len(faults)} of {count} pictures have no result, for the reasons above.')


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
