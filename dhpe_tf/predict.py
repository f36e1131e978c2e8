r"""Predicts from photographs and videos: for the hand task, lays meshes over the hands; other tasks write others.

  python -m dhpe_tf.predict --input=photo.jpg     (installed: dhpe-predict photo.jpg)
  python -m dhpe_tf.predict --input=clip.mp4 --output=results
  python -m dhpe_tf.predict --input=camera:0 --seconds=20
  python -m dhpe_tf.predict --model=runs/mine --input=photographs --output=results --box=120,80,260,260 --side=left
  python -m dhpe_tf.predict --gin_file=methods/levenberg_marquardt.gin --evidence=exported/dhpe_hand \
    --input=hand.jpg --output=results

The method is the shipped model, another exported or trained one (--model), or one that needs no training (--gin_file).
Methods that take 2D joints receive them from --joints or, with --evidence, from another model.

For each photograph the hand task writes <stem>_overlay.jpg (meshes and skeletons over the photograph), <stem>.obj (the
mesh of the first hand; <stem>_2.obj that of the second, and so on) and <stem>.json. The JSON holds image, size (height,
width), joint_order, and hands, the surest first: side, box and turn (of the square that was looked at),
joints_2d_px (pixels of the photograph), joints_3d_m and vertices_m (camera axes: x right, y down, z forward; relative
to the middle MCP unless --intrinsics are given), pose, shape, camera (of the right-hand model in the square; a left
hand is its mirror image), units_per_metre, score and, of the shipped model, joint_confidence.

For a video or a camera (--input=camera:0 or /dev/video0, until Ctrl-C or for --seconds) it writes <stem>_overlay.mp4
and <stem>.jsonl: a line of JSON for each frame with frame, time_s and hands as above, without vertices_m and with the
number `id`, which a hand keeps. With --gltf it also writes the moving hands, <stem>.glb, <stem>_2.glb and so on.
"""
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

from absl import flags

from dhpe_tf import command_line
from dhpe_tf.errors import UserError

_FLAGS = flags.FlagValues()
flags.DEFINE_string('model', None, 'Folder of an export, of one of its versions, or of a training; without it and '
                    'without --gin_file the shipped model.', flag_values=_FLAGS)
flags.DEFINE_string('server', None, 'host:port of the gRPC interface of a server that answers in the place of --model; '
                    'with /name where it has the model under another name than that of the folder. The folder still '
                    'gives the model card.', flag_values=_FLAGS)
command_line.define_configuration_flags(_FLAGS)
flags.DEFINE_string('evidence', None, 'Export or folder of a training that finds the inputs of the method.',
                    flag_values=_FLAGS)
flags.DEFINE_string('input', None, 'Photograph, folder of photographs, video, or camera (camera:0, /dev/video0).',
                    flag_values=_FLAGS)
flags.DEFINE_string('output', 'hands', 'Folder for the results; not that of the photographs.', flag_values=_FLAGS)
flags.DEFINE_integer('refine_steps', None, 'Steps of test-time refinement, 0 for none; without it as many as the model '
                     'card says, or fewer for a video. The paper takes 50.', lower_bound=0, upper_bound=1000,
                     flag_values=_FLAGS)
flags.DEFINE_boolean('lite', True, 'Run networks by TensorFlow Lite where the export has them so and there is no GPU; '
                     '--nolite runs the graph that is served.', flag_values=_FLAGS)
flags.DEFINE_float('seconds', None, 'Stop a video or a camera after this time.', lower_bound=1e-3, flag_values=_FLAGS)
flags.mark_flag_as_required('input', _FLAGS)

TASK_COMMAND = 'predict'  # tasks define further flags for this command


def main(argv: list[str]) -> None:
  """Predicts for each picture of --input and writes the results to --output; one failure does not stop the others.

  Args:
    argv: the program's name and the flags of the task.

  Raises:
    UserError: flags that do not fit together, or pictures without a result.
  """
  if _FLAGS.model and _FLAGS.gin_file:
    raise UserError('give --model, an export or a training, or --gin_file, a method that needs no training; not both.')
  if _FLAGS.server and _FLAGS.gin_file:
    raise UserError('--server answers in the place of an export; leave out --gin_file.')
  from dhpe_tf.inference import files
  if files.is_clip(_FLAGS.input):
    _predict_clip(argv)
  else:
    _predict_pictures(files.list_pictures(_FLAGS.input), argv)


def _predict_pictures(paths: list[str], argv: list[str]) -> None:
  """Predicts for each picture; raises a UserError if some have no result."""
  from dhpe_tf.inference import predictor as predictors
  _keep_apart(paths, _FLAGS.output)
  with predictors.graphs_as_they_are() if len(paths) == 1 else contextlib.nullcontext():
    _report(_predict_each(paths, argv), len(paths))


def _predict_each(paths: list[str], argv: list[str]) -> list[str]:
  """Predicts for each picture; returns one message for each that failed."""
  from tqdm import tqdm

  from dhpe_tf.inference import predictor as predictors
  predictor, options = _prepare(argv)
  # The model gets ready while the first file is read.
  warm = predictors.warm_up(predictor, _steps(predictor))
  faults, written = [], {}
  for path in tqdm(paths, unit='picture', disable=len(paths) == 1):
    stem = os.path.splitext(os.path.basename(path))[0]
    try:
      if stem in written:
        raise UserError(f'{path}: its results would replace those of {written[stem]}; rename one of them.')
      _predict_file(predictor, path, os.path.join(_FLAGS.output, stem), options, warm)
      written[stem] = path
    except UserError as error:
      faults.append(str(error))
  return faults


def _predict_clip(argv: list[str]) -> None:
  """Predicts for the frames of a video or a camera."""
  from dhpe_tf.inference import clips, files
  is_camera = files.camera_of(_FLAGS.input) is not None
  if not is_camera:
    _keep_apart([_FLAGS.input], _FLAGS.output)
  with files.open_clip(_FLAGS.input) as reader:
    predictor, options = _prepare(argv)
    clip = predictor.task.open_clip(reader.name, options, predictor.card)
    stem = os.path.join(_FLAGS.output, os.path.splitext(os.path.basename(reader.name))[0])
    limit_s = _FLAGS.seconds or float('inf')
    with _made(_FLAGS.output), _interruptible() if is_camera else contextlib.nullcontext(threading.Event()) as stopped:
      clips.predict(reader, predictor, clip, stem, _steps(predictor, clip.refine_steps),
                    lambda time_s: stopped.is_set() or time_s >= limit_s)
  if reader.fault:
    print(f'warning: {reader.fault}', file=sys.stderr)


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
  """Yields an event that the first Ctrl-C sets; a second one interrupts as usual."""
  stopped, usual = threading.Event(), signal.getsignal(signal.SIGINT)

  def stop(*_):
    stopped.set()
    signal.signal(signal.SIGINT, usual)
  signal.signal(signal.SIGINT, stop)
  try:
    yield stopped
  finally:
    signal.signal(signal.SIGINT, usual)


@contextlib.contextmanager
def _made(folder: str) -> Iterator[None]:
  """Removes a new folder again if the block fails and leaves nothing in it."""
  is_new = not os.path.exists(folder)
  try:
    yield
  except BaseException:
    if is_new and os.path.isdir(folder) and not os.listdir(folder):
      os.rmdir(folder)
    raise


def _prepare(argv: list[str]):
  """Returns the predictor and the checked flags of its task."""
  predictor = _load()
  options = command_line.task_flags(predictor.task.define_flags, 'predict', argv)
  predictor.task.check_options(options)
  return predictor, options


def _keep_apart(paths: list[str], output: str) -> None:
  """Raises a UserError if results would lie beside a photograph: they could replace one, and later be taken for one."""
  for path in paths:
    # A linked photograph has two folders.
    for folder in {os.path.dirname(os.path.abspath(path)), os.path.dirname(os.path.realpath(path))}:
      if os.path.exists(output) and os.path.samefile(folder, output):
        raise UserError(f'--output={output}: {path} lies there too, and results beside photographs could replace them '
                        f'or be taken for them; choose another folder, such as {os.path.join(output, "results")}.')


def _load():
  """Returns the predictor that the flags name, behind that of --evidence if it is given."""
  from dhpe_tf import configuration
  from dhpe_tf.inference import predictor as predictors
  # The evidence comes first, because loading a training replaces the gin configuration.
  evidence = predictors.load(_FLAGS.evidence, trace=True, lite=_FLAGS.lite) if _FLAGS.evidence else None
  if _FLAGS.gin_file:
    configuration.load(_FLAGS.gin_file, _FLAGS.gin_param)
    chosen = predictors.from_configuration()
  elif _FLAGS.server:
    from dhpe_tf.inference import remote
    chosen = remote.connect(_FLAGS.server, _FLAGS.model or predictors.shipped_model(), _FLAGS.gin_param)
  else:
    chosen = predictors.load(_FLAGS.model or predictors.shipped_model(), _FLAGS.gin_param, lite=_FLAGS.lite)
  if _FLAGS.refine_steps and (evidence or chosen.refined is None):
    raise UserError('this method has no refinement; leave out --refine_steps, or export the model again.')
  return predictors.behind(evidence, chosen) if evidence else chosen


def _steps(predictor, usual=None) -> int:
  """The number of steps of refinement: that of --refine_steps, or else the usual one, or that of the model card."""
  if _FLAGS.refine_steps is not None:
    return _FLAGS.refine_steps
  if not predictor.refined:
    return 0
  return predictor.card.get('usage', {}).get('refine_steps', 0) if usual is None else usual


def _predict_file(predictor, path: str, stem: str, options, warm: threading.Thread) -> None:
  """Predicts for one picture and writes the results to files whose names begin with `stem`."""
  from tqdm import tqdm

  from dhpe_tf.files import printable
  from dhpe_tf.inference import predictor as predictors
  request = predictor.task.read_request(path, options, predictor.card)
  inputs = predictor.task.inputs(request, predictor.input_specs)
  warm.join()
  outputs = predictors.answer_with(predictor, inputs, _steps(predictor))
  result = predictor.task.result(request, outputs, predictor.card)
  predictor.task.write_result(request, result, stem, predictor.card)
  summary = predictor.task.summarise(result)
  if summary:
    tqdm.write(f'{printable(path)}: {summary}')


def _report(faults: list[str], count: int) -> None:
  """Prints the errors of the pictures that failed; raises a UserError if there are any.

  Args:
    faults: one message for each failed picture.
    count: number of all pictures.
  """
  if len(faults) == 1 and count == 1:
    raise UserError(faults[0])
  for fault in faults:
    print(f'  {fault}', file=sys.stderr)
  if faults:
    raise UserError(f'{len(faults)} of {count} pictures have no result, for the reasons above.')


def program() -> None:
  """Runs the installed program `dhpe-predict`, which takes the input without --input= too, as its first argument."""
  if sys.argv[1:] and not sys.argv[1].startswith('-'):
    sys.argv[1] = f'--input={sys.argv[1]}'
  command_line.run(main, _FLAGS)


if __name__ == '__main__':
  program()
