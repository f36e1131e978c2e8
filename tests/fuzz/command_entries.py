"""Entries of command lines: one or two flags of a command that would succeed get odd values."""
import json
import os
import random
import shutil
from collections.abc import Callable, Sequence
from types import ModuleType

import numpy as np
from PIL import Image

from data_tools import (
  convert_coco_hand,
  convert_dexter_object,
  convert_freihand,
  convert_ho3d,
  convert_interhand,
  convert_jsonl,
  convert_mano,
  convert_photographs,
  convert_rhd,
  convert_stb,
  estimate_limits,
  export_hand,
  make_generalisation,
  make_synthetic,
  validate,
  view_records,
  write_submission,
)
from dhpe_tf import evaluate, export, files, predict, train
from dhpe_tf.errors import one_line
from dhpe_tf.hand import hand_model
from dhpe_tf.serving import exporter, model_card
from tests.data import records
from tests.data_tools.readers import (
  coco_hand_files,
  dexter_object_files,
  freihand_files,
  ho3d_files,
  interhand_files,
  rhd_files,
  stb_files,
)
from tests.fuzz import remembered
from tests.fuzz.cases import Case, Entry, command
from tests.hand import mano_files
from tests.serving import toy
from tests.training import tiny

_VALUES = ('', ' ', '0', '-1', '1', '3', '2.5', 'nan', 'inf', '-inf', '1e400', '1e39', '9' * 20, '1_0', '0x10',
           'x', 'true', 'None', 'a,b', ',', '0,0,0,0', '1,2,3', 'nan,1,2,3', '1,2,3,4', '-5,-5,1e9,1e9', '%s', '{}',
           '\x1b[2J', 'a\nb', '\udcff', '\u202e', 'x' * 5000, '/dev/zero', '/dev/null', 'pipe', 'folder', 'empty',
           'missing/missing', 'text.txt', 'text.txt/inside', 'loop', 'right', 'left', 'all', 'random', 'train',
           '--help=x')
# What an error may name beside flags and values: files of the dataset, the output, or the configuration.
_PLACES = ('pipe', '/dev/', 'folder', 'text.txt', 'configuration', 'train.', '/annotations/', '/RHD_published_v2/',
           'out: ')
_ODD = ('folder', 'pipe', 'loop', 'empty', 'text.txt')
_GIN = ('train.epochs = 0', 'train.epochs = -1', 'build_dataset.batch_size = 0', 'x',
        'build_dataset.batch_size = 9999999999', 'build_dataset.image_size = -1', 'train.epochs = nan',
        "train.epochs = 'x'",
        'train.steps_per_epoch = None', 'no.such = 1', 'import os', "include 'loop'",
        'train.epochs = @train', 'train.epochs = %X', 'a = 1', '= 1',
        'train.epochs = ' + '9' * 400, 'train.epochs = ' + '(' * 300, 'build_dataset.sources = 3',
        "build_dataset.sources = [('missing', 'train', 1.0)]", "build_dataset.sources = [('records', 'train', -1.0)]")


class _Command:
  """Command lines of one program.

  Args:
    module: of the command.
    good: arguments with which it succeeds, of the form --name=value.
    further: names of flags that it also has.
  """

  def __init__(self, module: ModuleType, good: Sequence[str], further: Sequence[str]):
    self._module, self._good = module, list(good)
    self._names = [argument[2:].split('=')[0] for argument in good] + list(further)
    self._there = {*os.listdir('.'), *_ODD}

  def check(self) -> None:
    """Runs the good command line."""
    _put_odd_files()
    self._run(self._good)

  def __call__(self, chance: random.Random) -> Case:
    """Gives one or two flags other values, or leaves one out."""
    _put_odd_files()
    arguments, names = list(self._good), []
    for _ in range(chance.choice((1, 1, 1, 2))):
      name = chance.choice(self._names)
      value = chance.choice(_GIN) if name == 'gin_param' else chance.choice(_VALUES)
      arguments = [argument for argument in arguments if not argument.startswith(f'--{name}=')]
      arguments += [] if chance.random() < .05 else [f'--{name}={value}']
      # Lists are refused by their first element.
      names += [name, one_line(value)[:30].strip(), one_line(value).split(',')[0][:30].strip()]
    if chance.random() < .03:
      arguments.append(chance.choice(('x', '--nosuch=1', '-', '--', '--=x', '--undefok=x')))
      names.append('')
    places = os.getcwd(), *_PLACES
    return Case(lambda: self._run(arguments), (*names, *places))

  def _run(self, arguments: Sequence[str]) -> None:
    """Runs the command and removes what it wrote."""
    try:
      command(self._module.main, arguments, self._module._FLAGS)
    finally:
      for name in set(os.listdir('.')) - self._there:
        files.remove(name)


def _put_odd_files() -> None:
  """Puts what is odd as an input or output into the working folder: an empty folder, a pipe, texts, a circular link."""
  for name in _ODD:
    files.remove(name)
  os.mkdir('folder')
  os.mkfifo('pipe')
  os.symlink('loop', 'loop')
  for name, content in (('empty', ''), ('text.txt', 'text\n')):
    with open(name, 'w', encoding='utf-8') as file:
      file.write(content)


def _entry(module: ModuleType, arguments: str, further: str = '', prepare: Callable[[], None] = lambda: None
           ) -> Callable[[str], Entry]:
  """An entry of a command; its inputs are written into the working folder."""
  def make(folder: str) -> Entry:
    os.chdir(folder)
    prepare()
    return _Command(module, arguments.split(), further.split())
  return make


def _write_export() -> None:
  remembered.load_exports_once()
  exporter.export(toy.build_toy_model(), 'toy', model_card.describe(toy.TASK, 'toy'))
  Image.fromarray(toy.bright_picture()).save('a.png')
  records.write('records', 3)


def _write_photographs() -> None:
  os.mkdir('photographs')
  Image.fromarray(np.full([60, 80, 3], 90, np.uint8)).save('photographs/a.png')


def _write_labels() -> None:
  _write_photographs()
  label = {'image': 'photographs/a.png', 'hand': 'left', 'joints_2d_px': [[20. + k, 30.] for k in range(21)]}
  with open('labels.jsonl', 'w', encoding='utf-8') as file:
    file.write(json.dumps(label))


TRAINING = """
Experiment.task = @TinyTask
Experiment.method = @build_tiny_model
Experiment.dataset = @build_tiny_dataset
train.epochs = 1
build_tiny_dataset.count = 8
"""


def _write_training() -> None:
  """A configuration of few numbers, and the folder of its training."""
  with open('tiny.gin', 'w', encoding='utf-8') as file:
    file.write(TRAINING)
  tiny.trainer('trained', epochs=1).run()
  shutil.copy('tiny.gin', 'trained/config.gin')


_EVALUATED = '--model=toy --data=records --split=train --report=report.json --baseline_split='
_SYNTHETIC = '--output=records --train=2 --eval=0 --image_size=32 --shards=1'
_OF_PREDICT = 'side overlay intrinsics root_depth_m joints smoothing gltf refine_steps seconds evidence gin_file'
_OF_EVALUATE = 'limit batch_size protocols refine_steps compare evidence root_depth gin_file gin_param model_dir'
_CONVERSION = 'splits on_error decode_pictures resume workers runner'

ENTRIES = {
    'command_predict': _entry(predict, '--model=toy --input=a.png --output=out --box=whole', _OF_PREDICT,
                              _write_export),
    'command_evaluate': _entry(evaluate, _EVALUATED, _OF_EVALUATE, _write_export),
    'command_view_records': _entry(view_records, '--records=records --output=sheet.png --cell=32',
                                   'split count columns training seed gin_file gin_param', _write_export),
    'command_convert_jsonl': _entry(convert_jsonl, '--labels=labels.jsonl --output=out --eval_fraction=0 --shards=1',
                                    'eval_groups sources min_score teacher on_error gin_param', _write_labels),
    'command_convert_photographs': _entry(convert_photographs, '--input=photographs --output=out --shards=1',
                                          f'side eval_fraction {_CONVERSION}', _write_photographs),
    'command_convert_rhd': _entry(convert_rhd, '--input=. --output=out --splits=train --shards=1',
                                  f'hand first_keypoint min_visible {_CONVERSION}',
                                  lambda: rhd_files.write('.', (('training', 1),))),
    'command_convert_coco_hand': _entry(
        convert_coco_hand, '--input=. --train_annotations=annotations/onehand10k_train.json --train_images=. '
        '--side=right --output=out --shards=1', f'eval_annotations eval_images joint_order name min_v {_CONVERSION}',
        lambda: coco_hand_files.write_onehand10k('.', 1)),
    'command_make_synthetic': _entry(make_synthetic, '--output=out --train=2 --eval=0 --image_size=32 --shards=1',
                                     'seed backgrounds batch workers gin_param'),
    'command_convert_mano': _entry(convert_mano, '--input=MANO_RIGHT.pkl --output=out.npz', 'side tip_vertices',
                                   lambda: mano_files.write_pickle('MANO_RIGHT.pkl', hand_model.load_hand_model())),
    'command_convert_stb': _entry(convert_stb, '--input=. --output=out --splits=eval --shards=1',
                                  f'pictures first_keypoint {_CONVERSION}', lambda: stb_files.write('.', frames=1)),
    'command_convert_freihand': _entry(
        convert_freihand, '--input=. --output=out --splits=train --shards=1 --versions=gs', f'mano_model {_CONVERSION}',
        lambda: freihand_files.write('.', samples=1, evaluation=1)),
    'command_convert_ho3d': _entry(convert_ho3d, '--input=HO3D_v3 --output=out --splits=train --shards=1', _CONVERSION,
                                   lambda: ho3d_files.write('.', frames=1)),
    'command_convert_interhand': _entry(convert_interhand, '--input=. --output=out --splits=val --shards=1',
                                        f'hands {_CONVERSION}', lambda: interhand_files.write('.', splits=('val',))),
    'command_convert_dexter_object': _entry(convert_dexter_object, '--input=. --output=out --shards=1',
                                            f'labels {_CONVERSION}', lambda: dexter_object_files.write('.', frames=1)),
    'command_export_hand': _entry(export_hand, '--output=out.obj', 'gesture shape hand_model side count seed'),
    'command_estimate_limits': _entry(estimate_limits, '--output=out.json --records=records --count=3',
                                      'split hand_model kept seed', lambda: records.write('records', 3)),
    'command_make_generalisation': _entry(make_generalisation, '--output=out --train=2 --test=1 --image_size=32',
                                          'seed backgrounds batch gin_param'),
    'command_write_submission': _entry(write_submission, '--model=toy --data=records --split=train --output=out.txt',
                                       'labels root_depth batch_size gin_param', _write_export),
    'command_validate': _entry(validate, '--records=records', 'splits report sheet gin_file gin_param',
                               lambda: command(make_synthetic.main, _SYNTHETIC.split(), make_synthetic._FLAGS)),
    'command_train': _entry(train, '--gin_file=tiny.gin --model_dir=out', 'gin_param import', _write_training),
    'command_export': _entry(export, '--model_dir=trained --export_dir=out', 'from_export version gin_param import',
                             _write_training),
}
ABOUT = {name: f'flags of `{name.removeprefix("command_")}`' for name in ENTRIES}
SLOW = tuple(f'command_{name}' for name in ('predict', 'evaluate', 'view_records', 'make_synthetic', 'validate',
                                            'train', 'export', 'estimate_limits', 'make_generalisation',
                                            'write_submission'))
