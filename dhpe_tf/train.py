"""Trains the method of gin files, keeps everything in --model_dir, and resumes there when started again.

  python -m dhpe_tf.train --gin_file=rendered.gin --model_dir=runs/quickstart

The folder --model_dir then holds config.gin (settings as given), operative_config.gin (as used), checkpoints/, logs/
for TensorBoard, and `final` once the training is complete. Without --gin_file the configuration saved there is used.
Ctrl-C or SIGTERM ends the training with a checkpoint. The same command resumes it, after any kind of end. A second
training in the same folder is refused.
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
  """Trains from the latest checkpoint in --model_dir, or from the start, until the configured end or a signal.

  Raises:
    UserError: no configuration, settings that nothing uses, another training at work in --model_dir, or a training
      that fails.
    KeyboardInterrupt: a signal stopped the training; a checkpoint is written.
  """
  del argv
  from dhpe_tf import configuration
  from dhpe_tf.errors import UserError
  from dhpe_tf.experiment import Experiment
  from dhpe_tf.training import folder_lock
  from dhpe_tf.training.settings import TrainSettings
  from dhpe_tf.training.trainer import Trainer

  model_dir = _FLAGS.model_dir
  saved = os.path.join(model_dir, configuration.CONFIG_FILE)
  if not _FLAGS.gin_file and not os.path.exists(saved):
    raise UserError(f'{saved} does not exist; give a configuration, for example --gin_file=rendered.gin')
  configuration.load(_FLAGS.gin_file, _FLAGS.gin_param, saved=None if _FLAGS.gin_file else saved)
  settings = TrainSettings()
  with folder_lock.held(model_dir):
    _train(Trainer(Experiment(), settings, model_dir), settings)


def _train(trainer, settings) -> None:
  """Trains to the end or to a signal.

  Args:
    trainer: the `Trainer`.
    settings: its `TrainSettings`.

  Raises:
    UserError: settings that nothing uses, or a training that fails.
    KeyboardInterrupt: a signal stopped the training; a checkpoint is written.
  """
  from dhpe_tf import configuration
  from dhpe_tf.errors import UserError

  model_dir = _FLAGS.model_dir
  configuration.save(model_dir)

  def check_configuration():
    """Refuses settings that nothing has used after the first step, and saves the operative configuration."""
    dead = configuration.dead_bindings(apart_from=getattr(trainer.model, 'used_later', ()))
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
  """Makes the first SIGINT or SIGTERM stop the training after its current step, with a checkpoint.

  Args:
    trainer: the `Trainer` to stop.

  Yields:
    A list that receives the number of the signal, empty so far.
  """
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
