"""Runs everything in one command: makes pictures, looks at them, trains, exports, evaluates and predicts.

  python -m dhpe_tf.quickstart --output=runs/quickstart --photo=hand.jpg

Prints every command before running it, and the time of each at the end. Finished stages are not repeated: the same
command resumes after a stop. The folder --output then holds records/, evidence/ (what the landmark network saw in
them), model/ (for TensorBoard and further training), exported/ (a SavedModel), report.json, .md and .png, and
predictions/ (the mesh on the photograph).
"""
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

from absl import flags

from dhpe_tf import command_line, json_files
from dhpe_tf.errors import UserError
from dhpe_tf.files import atomic_path

_FLAGS = flags.FlagValues()
flags.DEFINE_string('output', None, 'Folder for everything.', flag_values=_FLAGS)
flags.DEFINE_multi_string('photo', [], 'Photograph to lay a mesh over; a rendered picture if none is given.',
                          flag_values=_FLAGS)
flags.DEFINE_bool('smallest', False, 'So few pictures and steps that it only shows that everything runs.',
                  flag_values=_FLAGS)
flags.DEFINE_multi_string('gin_param', [], 'Setting of the training, such as "train.epochs = 2".', flag_values=_FLAGS)
flags.mark_flag_as_required('output', _FLAGS)

_ROOT = pathlib.Path(__file__).parent.parent
_SIZES = {False: ['--train=1500', '--eval=200'], True: ['--train=48', '--eval=8', '--shards=1']}
_SMALLEST = ['train.epochs = 1', 'train.steps_per_epoch = 3', 'evidence_dataset.batch_size = 8',
             'RandomHands.poses = 200']


def main(argv: list[str]) -> None:
  """Runs all stages in order and prints the seconds of each and where the results are.

  Raises:
    UserError: a photograph is missing, the package is not a clone of the repository, or a stage failed.
  """
  del argv
  output = os.path.abspath(_FLAGS.output)
  for photo in _FLAGS.photo:
    if not os.path.exists(photo):
      raise UserError(f'--photo={photo}: no such file.')
  if not (_ROOT / 'data_tools').is_dir():
    raise UserError('the quickstart runs from a clone of the repository, which holds data_tools; make one.')
  seconds, so_far = {}, []
  for name, arguments in _stages(output):
    so_far.append(arguments)
    seconds[name] = _run(name, so_far, output)
  print('\nseconds:', ', '.join(f'{name} {spent:.0f}' for name, spent in seconds.items()))
  print(f'report: {output}/report.md\nmodel: {output}/exported\npictures: {output}/predictions')


def _stages(output: str):
  """Yields (name, arguments after `python -m`) of each stage, from the records to the predictions."""
  records, evidence, model, exported = (
      os.path.join(output, name) for name in ('records', 'evidence', 'model', 'exported'))
  params = [f'EVIDENCE = {evidence!r}', *(_SMALLEST if _FLAGS.smallest else []), *_FLAGS.gin_param]
  yield 'records', ['data_tools.make_synthetic', f'--output={records}', *_SIZES[_FLAGS.smallest]]
  yield 'evidence', ['data_tools.cache_evidence', f'--records={records}', f'--output={evidence}']
  yield 'train', ['dhpe_tf.train', '--gin_file=quickstart.gin', *(f'--gin_param={param}' for param in params),
                  f'--model_dir={model}']
  yield 'export', ['dhpe_tf.export', f'--model_dir={model}', f'--export_dir={exported}']
  yield 'evaluate', ['dhpe_tf.evaluate', f'--model={exported}', f'--data={records}', '--split=eval',
                     f'--report={os.path.join(output, "report.json")}']
  predict = ['dhpe_tf.predict', f'--model={exported}', f'--output={os.path.join(output, "predictions")}']
  photos = [os.path.abspath(photo) for photo in _FLAGS.photo]
  for number, photo in enumerate(photos):
    yield f'predict {number + 1}', [*predict, f'--input={photo}']
  if not photos:
    picture, side = _rendered_picture(records, output)
    # A rendered hand without an arm is not always found.
    yield 'predict 1', [*predict, f'--input={picture}', '--box=whole', f'--side={side}']


def _rendered_picture(records: str, output: str) -> tuple[str, str]:
  """Writes the first held-out picture of the records to a file; returns its path and the side of the hand."""
  from dhpe_tf.data import tfrecords
  from dhpe_tf.tasks.hand.record import SCHEMA
  record = next(iter(tfrecords.read(records, 'eval', SCHEMA)))
  path = os.path.join(output, 'held_out.jpg')
  with atomic_path(path) as temporary, open(temporary, 'wb') as file:
    file.write(record['image/encoded'].numpy())
  return path, record['hand/side'].numpy().decode()


def _run(name: str, so_far: list[list[str]], output: str) -> float:
  """Runs the last stage of `so_far`, unless it has already run after the same stages.

  Args:
    name: of the stage.
    so_far: arguments of all stages up to this one.
    output: folder for everything; done/ in it notes the finished stages.

  Returns:
    The seconds that the stage took, now or when it ran before.

  Raises:
    UserError: the stage failed.
  """
  done = os.path.join(output, 'done', f'{name.replace(" ", "_")}.json')
  if os.path.exists(done):
    before = json_files.read_object(done, 'remove it to run this stage again')
    if before.get('stages') == so_far and isinstance(before.get('seconds'), (int, float)):
      print(f'\n{name}: done before, {before["seconds"]:.0f} s')
      return before['seconds']
  print(f'\n$ python -m {shlex.join(so_far[-1])}', flush=True)
  start = time.monotonic()
  status = subprocess.run([sys.executable, '-m', *so_far[-1]], cwd=_ROOT, check=False).returncode
  if status:
    raise UserError(f'{name} ended with status {status}, for the reason above; the same command goes on from there.')
  seconds = time.monotonic() - start
  with atomic_path(done) as temporary, open(temporary, 'w', encoding='utf-8') as file:
    json.dump({'stages': so_far, 'seconds': seconds}, file)
  return seconds


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
