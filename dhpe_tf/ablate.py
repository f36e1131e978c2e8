r"""Trains variants of a configuration with several seeds, measures each, and writes a table and plots.

  python -m dhpe_tf.ablate --output=runs/ablations --records=records/synthetic --seeds=3 --jobs=2 \
    --size_file=ablations/size_two_cores.gin --start_file=ablations/start.gin

With --start_file a variant starts from the weights of another training. That training's configuration is the variant's,
with the start file applied on top; variants for which the result is the same share one start. Each training runs as its
own process, so one failure does not stop the others. Finished trainings are not repeated: the same command resumes
after a stop. The folder --output receives table.md, results.json and the plots curves.png, refinement.png and
history.png, which are written again after every training, and seed_<N>/<variant>/ with model, report and log.
"""
import os
import signal

from absl import flags

from dhpe_tf import command_line
from dhpe_tf.errors import UserError

_FLAGS = flags.FlagValues()
_VARIANTS = ['full', 'without_2d_losses', 'without_refiner', 'without_shape_loss', 'constant_weight',
             'without_augmentation']
flags.DEFINE_string('output', None, 'Folder for everything.', flag_values=_FLAGS)
flags.DEFINE_string('records', None, 'Folder of the records, with Split-train and Split-eval in it.',
                    flag_values=_FLAGS)
flags.DEFINE_multi_string('gin_file', [f'ablations/{name}.gin' for name in _VARIANTS],
                          'Configuration of a variant; the file names the variant.', flag_values=_FLAGS)
flags.DEFINE_multi_string('size_file', [], 'Configuration applied after that of each variant: how long, how large.',
                          flag_values=_FLAGS)
flags.DEFINE_multi_string('start_file', [], 'What a training that variants start from does differently; several such '
                          'trainings follow one another.', flag_values=_FLAGS)
flags.DEFINE_multi_string('gin_param', [], 'Setting of all trainings, such as "train.epochs = 2".', flag_values=_FLAGS)
flags.DEFINE_integer('seeds', 3, 'Number of seeds.', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_list('refine_steps', ['5', '10', '20', '50'], 'Steps of test-time refinement to measure after.',
                  flag_values=_FLAGS)
flags.DEFINE_list('scalars', [], 'Scalars of the evaluations while training to plot against the epoch; all but the '
                  'terms of the loss by default.', flag_values=_FLAGS)
flags.DEFINE_integer('limit', None, 'Most images to measure on.', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_integer('jobs', 1, 'Trainings at a time; they share the cores.', lower_bound=1, flag_values=_FLAGS)
command_line.define_import_flag(_FLAGS)
flags.mark_flags_as_required(['output', 'records'], _FLAGS)


def main(argv: list[str]) -> None:
  """Runs the trainings and evaluations of all variants and seeds, then prints the table.

  Raises:
    UserError: some trainings failed; the table leaves them out.
  """
  del argv
  from dhpe_tf.experiments import jobs

  starts, variants = {}, {}
  for seed in range(_FLAGS.seeds):
    for file in _FLAGS.gin_file:
      start = _start(file, seed)
      # Variants with equal start configurations share one start.
      start = start and starts.setdefault((seed, start.configuration), start)
      variants[_variant(file, seed, start)] = start
  # Finds jobs that do not match their folder before the first training starts, not hours later.
  for job in (*starts.values(), *variants):
    jobs.commands_done(job)
  # SIGTERM then raises KeyboardInterrupt, so a killed run also stops its trainings cleanly.
  signal.signal(signal.SIGTERM, signal.default_int_handler)
  faults = jobs.run(list(starts.values()), _FLAGS.jobs) if starts else {}
  ready = [job for job, start in variants.items() if not start or start.name not in faults]
  done = []

  def draw(job: jobs.Job) -> str:
    """Adds a finished job and rewrites table and plots; returns a text for the progress bar."""
    done.append(job)
    return _draw(sorted(done, key=list(variants).index))
  faults.update(jobs.run(ready, _FLAGS.jobs, draw))
  if done:
    with open(os.path.join(_FLAGS.output, 'table.md'), encoding='utf-8') as file:
      print(f'\n{file.read()}')
  if faults:
    raise UserError(f'{len(faults)} trainings failed, the table is without them; the same command tries them again. '
                    + '; '.join(f'{name}: {fault}' for name, fault in faults.items()))


def _seed_folder(seed: int) -> str:
  """Folder of all trainings with this seed."""
  return os.path.join(_FLAGS.output, f'seed_{seed}')


def _name(file: str) -> str:
  """Name of a variant or start stage: its gin file's name without folder and ending."""
  return os.path.splitext(os.path.basename(file))[0]


def _train(files: list[str], params: list[str], model_dir: str) -> tuple[str, ...]:
  """Arguments after `python -m` that train with these gin files and settings into `model_dir`."""
  return ('dhpe_tf.train', *_imports(), *(f'--gin_file={file}' for file in files),
          *(f'--gin_param={param}' for param in params), f'--model_dir={model_dir}')


def _imports() -> list[str]:
  """The modules of --import as flags for the commands that are run."""
  return [f'--import={name}' for name in _FLAGS['import'].value]


def _params(seed: int) -> list[str]:
  """Gin settings that all trainings of a seed share: records, seed and --gin_param."""
  return [f'RECORDS = {_FLAGS.records!r}', f'train.seed = {seed}', *_FLAGS.gin_param]


def _initial_weights(model_dir: str) -> str:
  """The gin setting that starts a training from the weights in `model_dir`."""
  return f'train.initial_weights = {model_dir!r}'


def _start(file: str, seed: int):
  """Returns the job that trains the weights a variant starts from, or None without --start_file.

  Each file of --start_file is one stage: a training that starts from the weights of the stage before.
  """
  from dhpe_tf.experiments import jobs
  if not _FLAGS.start_file:
    return None
  folder = os.path.join(_seed_folder(seed), f'start_of_{_name(file)}')
  commands, texts, weights = [], [], []
  for stage in _FLAGS.start_file:
    files, model_dir = [file, *_FLAGS.size_file, stage], os.path.join(folder, _name(stage))
    texts.append(_configuration(files, _params(seed)))
    commands.append(_train(files, _params(seed) + weights, model_dir))
    weights = [_initial_weights(model_dir)]
  return jobs.Job(f'start of {_name(file)}, seed {seed}', folder, tuple(commands), '\n'.join(texts))


def _variant(file: str, seed: int, start):
  """Returns the job of one variant and seed: a training, then its evaluation.

  Args:
    file: gin file of the variant.
    seed: of the training.
    start: the job whose weights the training starts from, or None.
  """
  from dhpe_tf.experiments import jobs
  files, params = [file, *_FLAGS.size_file], _params(seed)
  text = _configuration(files, params)
  if start:
    params.append(_initial_weights(os.path.join(start.folder, _name(_FLAGS.start_file[-1]))))
  folder = os.path.join(_seed_folder(seed), _name(file))
  evaluate = ('dhpe_tf.evaluate', *_imports(), f'--model_dir={folder}/model', f'--data={_FLAGS.records}',
              '--split=eval', '--baseline_split=', f'--refine_steps={",".join(_FLAGS.refine_steps)}',
              f'--report={folder}/report.json',
              *([f'--limit={_FLAGS.limit}'] if _FLAGS.limit else []))
  return jobs.Job(f'{_name(file)}, seed {seed}', folder, (_train(files, params, f'{folder}/model'), evaluate), text)


def _configuration(files: list[str], params: list[str]) -> str:
  """Loads gin files and settings; returns the whole configuration as text."""
  import gin

  from dhpe_tf import configuration
  configuration.load(files, params)
  return gin.config_str()


def _draw(done: list) -> str:
  """Writes table and plots of the finished jobs; returns how many there are and where the table is."""
  from dhpe_tf.experiment import Experiment
  from dhpe_tf.experiments import ablations
  task, runs = Experiment(method=None).task, []  # the variants share one task
  for job in done:
    name, _, seed = job.name.rpartition(', seed ')
    runs.append(ablations.read(task, name, int(seed), f'{job.folder}/report.json', f'{job.folder}/model'))
  settings = ' '.join([*_FLAGS.size_file, *(f'`{param}`' for param in _FLAGS.gin_param)]) or 'as in the files'
  header = (f'Mean over seeds ± standard deviation. Size: {settings}. Start: '
            f'{", ".join(_FLAGS.start_file) or "none"}.')
  ablations.write(_FLAGS.output, task, runs, header, _FLAGS.scalars)
  return f'{len(runs)} in {os.path.join(_FLAGS.output, "table.md")}'


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
