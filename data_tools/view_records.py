"""Draws the labels of a record set onto its pictures, as a sheet to inspect before a training.

  python -m data_tools.view_records --records=records/photos --split=train --count=40 --output=sheet.png

Each cell is an instance as the network sees it, with its labels. For hands it is the crop, left hands mirrored, with
the skeleton, the outline of the mask in white, and side and name above. --training draws augmented crops instead.
Records of another task than hands need a --gin_file that names it.
"""
from absl import flags

from dhpe_tf import command_line, files

_FLAGS = flags.FlagValues()
flags.DEFINE_string('records', None, 'folder of the record set', flag_values=_FLAGS)
flags.DEFINE_string('split', 'train', 'which split', flag_values=_FLAGS)
flags.DEFINE_integer('count', 40, 'how many records', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_integer('columns', 8, 'cells side by side', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_integer('cell', 160, 'side of a cell, px', lower_bound=32, flag_values=_FLAGS)
flags.DEFINE_string('output', None, 'the PNG file', flag_values=_FLAGS)
flags.DEFINE_bool('training', False, 'draw augmented crops in random order', flag_values=_FLAGS)
flags.DEFINE_integer('seed', 0, 'of order and augmentation', flag_values=_FLAGS)
command_line.define_configuration_flags(_FLAGS)
flags.mark_flags_as_required(['records', 'output'], _FLAGS)


def main(argv: list[str]) -> None:
  """Draws the first --count instances of --split to --output."""
  del argv
  from dhpe_tf import configuration
  from dhpe_tf.data import input_pipeline
  from dhpe_tf.experiment import Experiment
  files.check_output(_FLAGS.output)
  configuration.load(_FLAGS.gin_file, _FLAGS.gin_param)
  task = Experiment(method=None).task
  dataset = input_pipeline.build_dataset(task, [(_FLAGS.records, _FLAGS.split, 1.0)], batch_size=1,
                                         image_size=_FLAGS.cell, training=_FLAGS.training, seed=_FLAGS.seed)
  count = draw_sheet(task, dataset, _FLAGS.output, _FLAGS.count, _FLAGS.columns)
  print(f'{_FLAGS.output}: {count} records of {_FLAGS.records} {_FLAGS.split}')


def draw_sheet(task, dataset, path: str, count: int = 40, columns: int = 8) -> int:
  """Draws the first instances of a dataset as a sheet.

  Args:
    task: draws the instances.
    dataset: batches of the task.
    path: PNG file.
    count: largest number of instances.
    columns: cells in a row.

  Returns:
    The number of instances drawn.
  """
  from dhpe_tf.visualization import pictures
  cells = [draw_cell(task, instance) for instance in dataset.unbatch().take(count).as_numpy_iterator()]
  pictures.write_png(path, pictures.sheet(cells, columns))
  return len(cells)


def draw_cell(task, instance: dict):
  """Draws one instance, without the batch axis, with its caption: uint8 [H, W, 3]."""
  from dhpe_tf.visualization import pictures
  return pictures.with_caption(task.draw_instance(instance), task.caption(instance))


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
