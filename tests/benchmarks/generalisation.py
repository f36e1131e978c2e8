"""Measures how networks generalise along the axes of the generalisation bench, by `hands19`.

  python -m data_tools.make_generalisation --output=records/bench --train=2000 --test=300 --image_size=128
  python -m tests.benchmarks.generalisation --records=records/bench --output=runs/bench
  python -m tests.benchmarks.generalisation --records=records/bench --output=runs/bench_landmarks \
    --gin_file=bench/landmarks.gin

Every arm trains the same network for equally many steps: on the split train; on train and train_recombined, whose poses
the hand model makes from the training hands; and, as the control, on as many hands from all regions of the axes.
Writes table.md, the mean joint error in millimetres after moving the wrist, mean and standard deviation over the seeds
and that of their ensemble; what extrapolation adds to it; and how the errors go with the distance to the training.
lines.png shows that, the mean over the seeds, with 95 % bootstrap intervals. Crops are cut once for all arms and seeds.
They and the predictions are kept in the folder of the output, so that a stopped run goes on; with fewer seeds done than
--seeds asks for, --notrain writes table and plot of those that are.

With --compare=FOLDER,FOLDER nothing is trained: the arms of these runs stand in one table, by the folders' names.
"""
import functools
import os

import numpy as np
import tensorflow as tf
from absl import app, flags
from tqdm import tqdm

_RECORDS = flags.DEFINE_string('records', 'records/bench', 'Folder of the bench.')
_OUTPUT = flags.DEFINE_string('output', 'runs/bench', 'Folder for predictions, table and plot.')
_GIN_FILE = flags.DEFINE_string('gin_file', 'bench/direct.gin', 'The network and its batches.')
_GIN_PARAM = flags.DEFINE_multi_string('gin_param', [], 'Settings.')
_ARMS = flags.DEFINE_list('arms', ['train', 'train+train_recombined', 'train_all_regions'], 'Training splits.')
_SEEDS = flags.DEFINE_integer('seeds', 3, 'Trainings of each arm.', lower_bound=1)
_STEPS = flags.DEFINE_integer('steps', 200, 'Steps of a training.', lower_bound=1)
_VIEWS = flags.DEFINE_integer('views', 1, 'Augmented crops of each training hand.', lower_bound=1)
_BATCH = flags.DEFINE_integer('batch', 64, 'Hands a step.', lower_bound=1)
_RATE = flags.DEFINE_float('learning_rate', 3e-3, 'At the start; it falls by a cosine.')
_TRAIN = flags.DEFINE_bool('train', True, 'Whether to train what is missing.')
_ALIGNMENT = flags.DEFINE_string('alignment', 'root', 'Alignment in the table: root or none.')

_START = flags.DEFINE_string('start', None, 'Weights that layers begin with, an .npz file with {seed} in its name, as '
                             'tests.benchmarks.contrastive keeps them.')
_COMPARE = flags.DEFINE_list('compare', [], 'Folders of runs, for one table of all of them.')

_EVIDENCE = 'landmark_evidence'
_LEAST_PX = 32  # of pictures that the method does not look at


def main(argv: list[str]) -> None:
  """Trains what is missing, then writes table and plot; or prints the table of several runs."""
  del argv
  if _COMPARE.value:
    print(table(compared(_COMPARE.value)))
    return
  from dhpe_tf import configuration
  from dhpe_tf.experiment import Experiment
  from dhpe_tf.tasks.hand.bench import splits
  from dhpe_tf.visualization import curves
  configuration.load([_GIN_FILE.value], [f'RECORDS = {_RECORDS.value!r}', *_GIN_PARAM.value])
  experiment = Experiment()
  os.makedirs(_OUTPUT.value, exist_ok=True)
  trainer = Trainer(experiment)
  crops = functools.lru_cache(maxsize=None)(functools.partial(hands_of, experiment.task, trainer.method))
  tests = joined([crops(split, 0) for split in splits.TESTS])
  for seed in range(_SEEDS.value if _TRAIN.value else 0):
    for arm in _ARMS.value:
      if not os.path.exists(_path(arm, seed)):
        hands = joined([crops(split, _VIEWS.value) for split in arm.split('+')])
        trainer.run(hands, seed, f'{arm}, seed {seed}', _START.value and started(_START.value.format(seed=seed)))
        np.savez(_path(arm, seed), **predictions(trainer.method, tests))
  measured = {arm: found for arm in _ARMS.value if (found := measure(experiment.task, _OUTPUT.value, arm, tests))}
  text = table(measured)
  with open(os.path.join(_OUTPUT.value, 'table.md'), 'w', encoding='utf-8') as file:
    file.write(text)
  print(text)
  curves.plot_lines(os.path.join(_OUTPUT.value, 'lines.png'), panels(measured),
                    'distance to training; y: error, mm')


def hands_of(task, method, split: str, views: int, records: str = '') -> dict[str, np.ndarray]:
  """Crops of a split with their labels, by the names of the batch contract; pictures as uint8.

  Methods on landmark evidence get that evidence, which is slow to compute, and no picture.

  Args:
    task: the hand task.
    method: a method of the kind that is to be trained.
    split: its name.
    views: augmented crops of each hand, or 0 for the hands in order as they are.
    records: folder of another record set than --records.
  """
  from dhpe_tf.data import input_pipeline, tfrecords
  folder, of_folder = (records, f'{os.path.basename(records)}_') if records else (_RECORDS.value, '')
  path = os.path.join(_OUTPUT.value, f'crops_{of_folder}{split}_{views}.npz')
  if os.path.exists(path):
    with np.load(path) as file:
      return dict(file)
  count = -(-tfrecords.count(folder, split) // _BATCH.value)
  size = method.input_specs['image'].shape[1] if 'image' in method.input_specs else _LEAST_PX
  look = tf.function(method.taken, autograph=False)
  parts = []
  with tqdm(total=max(views, 1) * count, desc=split, unit='batch') as bar:
    for view in range(max(views, 1)):
      batches = input_pipeline.build_dataset(task, [(folder, split, 1.)], _BATCH.value, size,
                                             training=views > 0, seed=view)
      for batch in batches.take(count):
        shown = {name: value for name, value in batch.items() if name not in ('image', 'mask')}
        arrays = {name: np.asarray(value) for name, value in {
            **shown, 'mask': batch['mask'][:, ::8, ::8], **look(batch)}.items()}
        parts.append({**arrays, 'id': arrays['id'].astype('S')})
        bar.update()
  found = joined(parts)
  if 'image' in found:
    found['image'] = np.round(255 * found['image']).astype(np.uint8)
  np.savez(path, **found)
  return found


def batch_of(hands: dict, rows) -> dict[str, tf.Tensor]:
  """Some of the hands as a batch."""
  batch = {name: value[rows] for name, value in hands.items() if value.dtype.kind not in 'SO'}
  if 'image' in batch:
    batch['image'] = batch['image'].astype(np.float32) / 255
  return {name: tf.constant(value) for name, value in batch.items()}


def joined(parts: list) -> dict[str, np.ndarray]:
  """Concatenates arrays by name."""
  return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Trainer:
  """Trains one method again and again, with other data and seeds, without tracing it anew.

  Attributes:
    method: as the last `run` left it.
  """

  def __init__(self, experiment, steps: int = None, rate: float = None):
    """Compiles a new method; `steps` and `rate` are those of the flags by default."""
    self._experiment, self.method = experiment, experiment.build_method()
    self._steps = steps or _STEPS.value
    schedule = tf.keras.optimizers.schedules.CosineDecay(rate or _RATE.value, self._steps)
    self.method.compile(tf.keras.optimizers.Adam(schedule, clipnorm=5.))
    self.method.optimizer.build(self.method.trainable_variables)
    self._step = tf.function(self.method.train_step, autograph=False)

  def begin(self, seed: int, start: dict = None) -> None:
    """Gives the method new weights.

    Args:
      seed: of the weights.
      start: weights of layers by name, which those begin with; none by default.
    """
    tf.keras.utils.set_random_seed(seed)
    self.method.set_weights(self._experiment.build_method().get_weights())
    for name, weights in (start or {}).items():
      self.method.get_layer(name).set_weights(weights)

  def run(self, hands: dict, seed: int, title: str, start: dict = None, rows=None) -> None:
    """Trains on hands, which each step draws at random, from new weights.

    Args:
      hands: of `hands_of`.
      seed: of weights and draws.
      title: of the bar.
      start: see `begin`.
      rows: (NumPy's random generator, number of the step) -> rows of the hands for a step; any by default.
    """
    self.begin(seed, start)
    for variable in self.method.optimizer.variables:
      variable.assign(tf.zeros_like(variable) if variable.dtype.is_floating else 0)
    random = np.random.default_rng(seed)
    rows = rows or (lambda random, number: random.integers(len(hands['id']), size=_BATCH.value))
    with tqdm(total=self._steps, desc=title, unit='step') as bar:
      for number in range(self._steps):
        logs = self._step(batch_of(hands, rows(random, number)))
        bar.update()
        if number % 50 == 49:
          bar.set_postfix_str(f'loss {float(logs["loss"]):.3f}')
          self.method.reset_metrics()


def predictions(method, tests: dict) -> dict[str, np.ndarray]:
  """Predicted joints of the test hands, as `tasks.hand.predictions` has them."""
  from dhpe_tf.methods.dhpe.landmarks import evidence
  from dhpe_tf.tasks.hand import predictions as hand_predictions
  parts = []
  for start in range(0, len(tests['id']), _BATCH.value):
    batch = batch_of(tests, slice(start, start + _BATCH.value))
    if _EVIDENCE in batch:
      joints = method.fitted_joints(evidence.unpack(batch[_EVIDENCE]), 0)
      placed = tf.concat([joints.joints_2d, joints.crop[..., 2:]], axis=-1)
      parts.append({'joints_3d_m': joints.metres, 'joints_2d': joints.joints_2d, 'joints_crop': placed})
    else:
      answer = method.answer({name: batch[name] for name in method.input_specs})
      parts.append(hand_predictions.from_outputs(answer, 0))
  return joined([{name: np.asarray(value) for name, value in part.items()} for part in parts])


def started(path: str) -> dict[str, list[np.ndarray]]:
  """The weights of layers by name, of a file whose arrays are named layer/number."""
  with np.load(path) as file:
    keys = sorted(key for key in file.files if '/' in key)
    return {layer: [file[key] for key in keys if key.startswith(f'{layer}/')]
            for layer in dict.fromkeys(key.split('/')[0] for key in keys)}


def compared(folders: list[str]) -> dict[str, dict]:
  """What `measure` finds for each arm of several runs, by the names of folder and arm.

  Raises:
    SystemExit: if a folder has no predictions of the arms, or two folders have the same name.
  """
  from dhpe_tf.tasks.hand.bench import splits
  from dhpe_tf.tasks.hand.task import HandTask
  by_name = {os.path.basename(os.path.normpath(folder)): folder for folder in folders}
  if len(by_name) < len(folders):
    raise SystemExit('--compare: two folders have the same name; rename one')
  found = {}
  for name, folder in by_name.items():
    arms = [arm for arm in _ARMS.value if any(os.path.exists(_path(arm, seed, folder)) for seed in range(_SEEDS.value))]
    if not arms:
      raise SystemExit(f'--compare: {folder} has no predictions of {", ".join(_ARMS.value)}; train it by --output')
    tests = joined([_labels(os.path.join(folder, f'crops_{split}_0.npz')) for split in splits.TESTS])
    found.update({f'{name}, {arm}': measure(HandTask(), folder, arm, tests) for arm in arms})
  return found


def _labels(path: str) -> dict[str, np.ndarray]:
  """What a file of crops holds beside the pictures."""
  with np.load(path) as file:
    return {name: file[name] for name in file.files if name != 'image'}


def measure(task, folder: str, arm: str, tests: dict) -> dict:
  """`Measured` of an arm of the run in a folder, by answer: each seed and, of several, their ensemble."""
  found = {}
  for seed in range(_SEEDS.value):
    path = _path(arm, seed, folder)
    if os.path.exists(path):
      with np.load(path) as file:
        found[f'seed {seed}'] = dict(file)
  if len(found) > 1:
    found[f'ensemble of {len(found)}'] = task.ensemble(list(found.values()))
  return {answer: task.measure('hands19', points, tests) for answer, points in found.items()}


def table(measured: dict) -> str:
  """Formats the errors by arm and split, what extrapolation adds, and how errors go with the distance.

  Args:
    measured: arm -> answer -> `Measured`; all answers but ensembles are seeds.
  """
  from dhpe_tf.tasks.hand.bench import axes, splits
  lines = []
  for title, form, names in (
      ('mean joint error, mm', '.1f', [(split, f'mje_{split}') for split in splits.TESTS]),
      ('more than on interp, mm', '+.1f', [(split, f'gap_{split}') for split in splits.TESTS[1:]]),
      ('rank correlation of error, distance', '.2f', [(axis, f'distance_correlation_{axis}') for axis in axes.AXES])):
    lines += ['', _row(title, 'answers', *(heading for heading, _ in names)), _row(*['---'] * (2 + len(names)))]
    for arm, answers in measured.items():
      seeds = [found for answer, found in answers.items() if answer.startswith('seed')]
      groups = {f'{len(seeds)} seeds': seeds, **{answer: [found] for answer, found in answers.items()
                                                 if answer.startswith('ensemble')}}
      for heading, group in groups.items():
        lines.append(_row(arm, heading, *(_cell(group, name, form) for _, name in names)))
  return '\n'.join(lines[1:]) + '\n'


def panels(measured: dict) -> dict:
  """Panel by axis -> arm -> line of errors against the distance, the mean over the seeds; see `table`."""
  from dhpe_tf.visualization import curves
  result: dict[str, dict] = {}
  for arm, answers in measured.items():
    seeds = [found for answer, found in answers.items() if answer.startswith('seed')]
    for title in seeds[0].lines:
      parts = (np.mean([getattr(found.lines[title], part) for found in seeds], axis=0) for part in curves.Line._fields)
      result.setdefault(title, {})[arm] = curves.Line(*parts)
  return result


def _cell(group: list, name: str, form: str) -> str:
  """Mean and spread of a measure over a group, or '-' if it is missing."""
  from dhpe_tf.experiments.ablations import spread
  name = f'{name}/{_ALIGNMENT.value}'
  if any(name not in found.measures for found in group):
    return '-'
  return spread([found.measures[name].value for found in group], form)


def _path(arm: str, seed: int, folder: str = '') -> str:
  """The file of the predictions of an arm and a seed, in the folder of a run or that of --output."""
  return os.path.join(folder or _OUTPUT.value, f'{arm}_{seed}.npz')


def _row(*cells: str) -> str:
  """A row of a Markdown table."""
  return f'| {" | ".join(cells)} |'


if __name__ == '__main__':
  app.run(main)
