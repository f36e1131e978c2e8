"""Measures what moving averages of the weights gain: a training, measured with its last and with its averaged weights.

  python -m tests.benchmarks.averaging --gin_file=rendered.gin --gin_param="RECORDS = 'records/small'" \
    --gin_param="build_optimizer.schedule = @constant_rate" --steps=100,200,400 --seeds=3

Prints a Markdown table: held-out errors of the mesh, mean and standard deviation over the seeds, and the difference of
the averaged weights' from the last ones' in each seed. Without a constant rate there is less to gain, since the last
steps of a falling one hardly move the weights.
"""
import numpy as np
import tensorflow as tf
from absl import flags

from dhpe_tf import command_line

_FLAGS = flags.FlagValues()
flags.DEFINE_multi_string('gin_file', [], 'Configuration of the training.', flag_values=_FLAGS)
flags.DEFINE_multi_string('gin_param', [], 'Further settings.', flag_values=_FLAGS)
flags.DEFINE_list('steps', ['100', '200', '400'], 'Steps after which to measure.', flag_values=_FLAGS)
flags.DEFINE_integer('seeds', 3, 'Trainings.', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_float('decay', 0.98, 'build_optimizer.averaging_decay.', flag_values=_FLAGS)
flags.mark_flags_as_required(['gin_file'], _FLAGS)

MEASURES = ('error_3d_mm', 'error_2d_px')


def errors(model: tf.keras.Model, batches: list) -> list[float]:
  """The held-out errors of MEASURES."""
  model.reset_metrics()
  for batch in batches:
    logs = model.test_step(batch)
  return [float(logs[name]) for name in MEASURES]


def run(seed: int, steps: list[int]) -> np.ndarray:
  """Trains with one seed; the errors [steps, last or averaged, MEASURES]."""
  from dhpe_tf.experiment import Experiment
  from dhpe_tf.training import averaging, schedules, shares

  tf.keras.utils.set_random_seed(seed)
  tf.keras.backend.experimental.enable_tf_random_generator()
  experiment = Experiment()
  model = experiment.build_method()
  model.compile(optimizer=schedules.build_optimizer(max(steps)))
  shares.slow_down(model.optimizer, *model.slowed)
  averaging.create_state(model.optimizer, model.trainable_variables)
  averages = averaging.Averages(model.optimizer, model.trainable_variables)
  step, held_out, found = tf.function(model.train_step), list(experiment.eval_data()), []
  for number, batch in enumerate(experiment.train_data(seed, 0, 0).take(max(steps)), 1):
    step(batch)
    if number in steps:
      last = errors(model, held_out)
      with averages.in_use():
        found.append((last, errors(model, held_out)))
  return np.array(found)


def table(steps: list[int], found: np.ndarray) -> str:
  """The table, from the errors [seeds, steps, last or averaged, MEASURES]."""
  lines = ['| steps | 3D error, mm | averaged | difference by seed | 2D error, px | averaged | difference by seed |',
           f'| {" | ".join(["---"] * 7)} |']
  for number, count in enumerate(steps):
    cells = []
    for measure in range(len(MEASURES)):
      values = found[:, number, :, measure]
      cells += [f'{mean:.1f} ± {spread:.1f}' for mean, spread in zip(values.mean(0), values.std(0))]
      cells.append(', '.join(f'{difference:+.1f}' for difference in values[:, 1] - values[:, 0]))
    lines.append(f'| {count} | {" | ".join(cells)} |')
  return '\n'.join(lines)


def main(argv: list[str]) -> None:
  """Trains with each seed and prints the table."""
  del argv
  from dhpe_tf import configuration

  steps = sorted(int(step) for step in _FLAGS.steps)
  found = []
  for seed in range(_FLAGS.seeds):
    configuration.load(_FLAGS.gin_file, [*_FLAGS.gin_param, f'build_optimizer.averaging_decay = {_FLAGS.decay}'])
    found.append(run(seed, steps))
    print(f'seed {seed}: {np.round(found[-1], 1).tolist()}', flush=True)
  print(f'\ndecay {_FLAGS.decay}, {_FLAGS.seeds} seeds:\n\n{table(steps, np.array(found))}')


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
