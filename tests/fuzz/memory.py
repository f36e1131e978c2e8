"""Prints the peak memory of commands on hostile input beside that on good input.

  python -m tests.fuzz.memory                                # half an hour
  python -m tests.fuzz.memory --commands=predict,validate

Each command runs in a process of its own, whose largest resident size the operating system tells. Hostile inputs are
bombs in headers (PNG, JPEG, WebP, GIF, BMP) below and above the limit of pixels, in gzip, zip and JSON, and endless
devices and pipes. A command that takes --most_mb more than on good input, ends with another status than 0 or 1, shows a
traceback or takes --longest_s is a fault.
"""
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import NamedTuple

from absl import flags

from dhpe_tf import command_line
from dhpe_tf.errors import UserError

_FLAGS = flags.FlagValues()
flags.DEFINE_list('commands', None, 'which commands; all by default', flag_values=_FLAGS)
flags.DEFINE_list('inputs', None, 'which hostile inputs; all by default', flag_values=_FLAGS)
flags.DEFINE_string('folder', None, 'where the inputs are kept, 1.2 GB; made if it is missing', flag_values=_FLAGS)
flags.DEFINE_integer('most_mb', 2000, 'memory beyond that on good input', flag_values=_FLAGS)
flags.DEFINE_float('longest_s', 300., 'time for a command', flag_values=_FLAGS)

_PIPES = ('device', 'pipe')
_PICTURES = ('png_49mp', 'png_49mp_16bit', 'jpeg_49mp', 'jpeg_49mp_progressive', 'webp_49mp', 'gif_49mp', 'bmp_49mp',
             'png_529mp', *_PIPES)
_RECORDS = ('records_png_49mp', 'records_jpeg_49mp_progressive', 'records_gzip_bomb', 'records_device')
PICTURE, BOMB, DEVICE = 'picture', 'bomb', 'device'  # what is hostile in a dataset: a picture, or a file of labels


def dataset(name: str) -> tuple[str, tuple[str, ...]]:
  """The names of a dataset of `memory_datasets` as it is, and of the hostile ones."""
  return name, tuple(f'{name}_{kind}' for kind in (PICTURE, BOMB, DEVICE))


# Module, arguments in which {x} is the input, the good input, and the hostile ones.
COMMANDS = {
    'predict': ('dhpe_tf.predict', '--input={x} --output={out}/o --box=whole', 'photo.jpg', _PICTURES),
    'predict_sought': ('dhpe_tf.predict', '--input={x} --output={out}/o', 'photo.jpg', _PICTURES[:4]),
    'predict_video': ('dhpe_tf.predict', '--input={x} --output={out}/o', 'clip.mp4',
                       ('video_33mp.mp4', 'video_device.mp4', 'video_pipe.mp4')),
    'evaluate': ('dhpe_tf.evaluate', '--model={shipped} --data={x} --split=train --baseline_split= --limit=4 '
                 '--report={out}/r.json', 'records', _RECORDS),
    'train': ('dhpe_tf.train', "--gin_file={folder}/train.gin --gin_param=RECORDS='{x}' --model_dir={out}/m", 'records',
              _RECORDS),
    'validate': ('data_tools.validate', '--records={x}', 'records', _RECORDS),
    'view_records': ('data_tools.view_records', '--records={x} --output={out}/s.png', 'records', _RECORDS),
    'cache_evidence': ('data_tools.cache_evidence', '--records={x} --output={out}/e', 'records', _RECORDS),
    'convert_jsonl': ('data_tools.convert_jsonl', '--labels={x} --output={out}/r --eval_fraction=0', 'photo.jsonl',
                      ('jsonl_long_line', 'jsonl_many_lines', *_PIPES,
                       *(f'{name}.jsonl' for name in _PICTURES))),
    'convert_photographs': ('data_tools.convert_photographs', '--input={x} --output={out}/r', 'photographs',
                            tuple(f'photographs_{name}' for name in _PICTURES)),
    'make_synthetic': ('data_tools.make_synthetic', '--backgrounds={x} --output={out}/r --train=4 --eval=2',
                       'photographs', tuple(f'photographs_{name}' for name in _PICTURES[:4])),
    'convert_mano': ('data_tools.convert_mano', '--input={x} --output={out}/h.npz', 'MANO_RIGHT.pkl',
                     ('pkl_zeros.pkl', 'pkl_device.pkl')),
    'export_hand': ('data_tools.export_hand', '--hand_model={x} --output={out}/h.obj', 'hand.npz',
                    ('npz_bomb.npz', 'npz_header.npz', 'npz_device.npz')),
    'convert_landmarker': ('data_tools.convert_landmarker', '--wheel={x} --output={out}/w', 'photo.jpg',
                           ('zip_bomb', *_PIPES)),
    'convert_rhd': ('data_tools.convert_rhd', '--input={x} --output={out}/r --splits=train', 'RHD_published_v2',
                    ('rhd_mask_49mp', 'rhd_zeros', 'rhd_device')),
    'convert_coco_hand': ('data_tools.convert_coco_hand', '--input={folder} --train_annotations={x} '
                          '--train_images={folder} --side=right --output={out}/r', 'onehand10k.json',
                          ('json_many_numbers', 'json_deep', *_PIPES)),
    'convert_stb': ('data_tools.convert_stb', '--input={x} --output={out}/r --splits=eval', *dataset('stb')),
    'convert_freihand': ('data_tools.convert_freihand', '--input={x}/FreiHAND_pub_v2 --output={out}/r --splits=train '
                         '--versions=gs', *dataset('freihand')),
    'convert_ho3d': ('data_tools.convert_ho3d', '--input={x}/HO3D_v3 --output={out}/r --splits=train',
                     *dataset('ho3d')),
    'convert_interhand': ('data_tools.convert_interhand', '--input={x} --output={out}/r --splits=val',
                          *dataset('interhand')),
    'convert_dexter_object': ('data_tools.convert_dexter_object', '--input={x} --output={out}/r',
                              *dataset('dexter_object')),
    'served': ('tests.fuzz.memory_served', '{shipped} {x}', 'photo.jpg', (*_PICTURES[:4], 'bmp_49mp', 'png_529mp')),
}


# A small process starts the command: a process counts what its parent held when it was made.
_LAUNCHER = '''
import os, sys
child = os.fork()
if not child:
  os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], 'w') as file:
  file.write(f'{usage.ru_maxrss} {os.waitstatus_to_exitcode(status)}')
'''


class Measured(NamedTuple):
  """What a command did.

  Attributes:
    peak_mb: its largest resident size.
    status: exit status; negative for a signal.
    said: the last line that it printed.
    is_right: whether it ended with status 0 or 1 and without a traceback.
  """

  peak_mb: int
  status: int
  said: str
  is_right: bool


def main(argv: list[str]) -> None:
  """Runs the commands and prints a table.

  Raises:
    UserError: a command took too much memory or time, or ended in a wrong way.
  """
  del argv
  with contextlib.ExitStack() as stack:
    out = stack.enter_context(tempfile.TemporaryDirectory())
    folder = os.path.abspath(_FLAGS.folder or os.path.join(out, 'inputs'))
    if not os.path.exists(folder):
      os.mkdir(folder)
      _write_inputs(folder)
    faults = _measure_all(folder, out)
  if faults:
    raise UserError(f'{len(faults)} faults: {", ".join(faults)}')


def _measure_all(folder: str, out: str) -> list[str]:
  """Prints the table of the inputs in a folder; returns the wrong answers."""
  faults = []
  print('| command | input | peak, MB | beyond good input, MB | status | said |')
  print('| --- | --- | --- | --- | --- | --- |')
  for name in _FLAGS.commands or COMMANDS:
    module, arguments, good, hostile = COMMANDS[name]
    normal = _measure(folder, out, module, arguments, good)
    _print(name, 'good', normal, 0)
    for given in hostile:
      if _FLAGS.inputs is None or given in _FLAGS.inputs:
        found = _measure(folder, out, module, arguments, given)
        _print(name, given, found, found.peak_mb - normal.peak_mb)
        if not found.is_right or found.peak_mb - normal.peak_mb > _FLAGS.most_mb:
          faults.append(f'{name} on {given}')
  return faults


def _write_inputs(folder: str) -> None:
  """Writes the inputs in a process of its own: what this process holds would count for its children."""
  child = os.fork()
  if child == 0:
    status = 1
    try:
      from tests.fuzz import memory_files
      memory_files.write(folder)
      status = 0
    finally:
      if status:
        sys.excepthook(*sys.exc_info())
      os._exit(status)
  if os.waitpid(child, 0)[1]:
    raise UserError(f'{folder}: the inputs could not be written; see above')


def _measure(folder: str, out: str, module: str, arguments: str, given: str) -> Measured:
  """Runs a command on an input."""
  out, log, usage = (os.path.join(out, name) for name in ('results', 'log', 'usage'))
  values = {'x': os.path.join(folder, given), 'out': out, 'folder': folder,
            'shipped': os.path.abspath('exported/dhpe_hand/1')}
  os.mkdir(out)
  words = [word.format(**values) for word in arguments.split(' ')]
  with open(log, 'wb') as file:
    process = subprocess.Popen([sys.executable, '-c', _LAUNCHER, usage, '-m', module, *words], stdout=file, stderr=file,
                               stdin=subprocess.DEVNULL, start_new_session=True)
  try:
    process.wait(_FLAGS.longest_s)
    with open(usage, encoding='utf-8') as file:
      peak_kb, code = map(int, file.read().split())
  except subprocess.TimeoutExpired:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    peak_kb, code = 0, -signal.SIGKILL
  shutil.rmtree(out)
  with open(log, encoding='utf-8', errors='replace') as file:
    text = file.read()
  lines = [line for line in text.splitlines() if line.strip()]
  return Measured(peak_kb >> 10, code, lines[-1] if lines else '', code in (0, 1) and 'Traceback' not in text)


def _print(name: str, given: str, found: Measured, beyond_mb: int) -> None:
  """Prints a row of the table."""
  said = found.said.rpartition('\r')[2].replace('|', '/')[:110]
  print(f'| {name} | {given} | {found.peak_mb} | {beyond_mb} | {found.status} | {said} |', flush=True)


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
