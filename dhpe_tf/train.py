"""Trains a method as gin files say, keeps everything in --model_dir, and goes on from there when started again.

  python -m dhpe_tf.train --gin_file=quickstart.gin --model_dir=runs/quickstart

In --model_dir lie afterwards: config.gin (what was given), operative_config.gin (what was used), checkpoints/, logs/
for TensorBoard, and `final` once the training is complete. Without --gin_file the configuration saved there is used.
Ctrl-C or SIGTERM ends the training with a checkpoint; the same command goes on. So it does after any other end.
"""
import contextlib
import os
import signal
from collections.abc import Iterator

from absl import flags

from dhpe_tf import command_line

_FLAGS = flags.FlagValues()
command_line.define_configuration_flags(_FLAGS)
flags.DEFINE_string('model_dir', None, 'Folder of this training; made if it is not there.', flag_values=_FLAGS)
flags.mark_flag_as_required('model_dir', _FLAGS)


def main(argv: list[str]) -> None:
  """Trains."""
  del argv
  from dhpe_tf import configuration
  from dhpe_tf.errors import UserError
  from dhpe_tf.experiment import Experiment
  from dhpe_tf.training.settings import TrainSettings
  from dhpe_tf.training.trainer import Trainer

  model_dir = _FLAGS.model_dir
  saved = os.path.join(model_dir, configuration.CONFIG_FILE)
  if not _FLAGS.gin_file and not os.path.exists(saved):
    raise UserError(f'{saved} does not exist; give a configuration, for example --gin_file=quickstart.gin')
  configuration.load(_FLAGS.gin_file, _FLAGS.gin_param, saved=None if _FLAGS.gin_file else saved)
  settings = TrainSettings()
  trainer = Trainer(Experiment(), settings, model_dir)
  configuration.save(model_dir)

  def check_configuration():
    dead = configuration.dead_bindings()
    if dead and not settings.allow_dead_bindings:
      raise UserError(f'these settings reach nothing: {", ".join(dead)}; correct or remove them, '
                      'or set train.allow_dead_bindings = True')
    configuration.save(model_dir)

  with _stop_on_signals(trainer) as interrupted:
    trainer.run(after_first_step=check_configuration)
  if interrupted:
    print(f'stopped with a checkpoint; the same command goes on in {model_dir}')
    raise KeyboardInterrupt


@contextlib.contextmanager
def _stop_on_signals(trainer) -> Iterator[list[int]]:
  """Makes the first SIGINT or SIGTERM end the training in good order; yields a list that will hold the signal."""
  caught = []

  def stop(number, frame):
    del frame
    caught.append(number)
    trainer.stop()
    signal.signal(number, signal.SIG_DFL)
  handlers = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
  try:
    yield caught
  finally:
    for number, handler in handlers.items():
      signal.signal(number, handler)


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
