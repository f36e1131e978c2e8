"""Draws predictions of a trained model and the new training instances made from them (selfsup), for inspection.

  python -m data_tools.view_offspring --model_dir=runs/quickstart/model --records=records/synthetic --output=sheet.png

A row holds a picture with the predicted skeleton and mask, its offspring as the training sees them, and the offspring
with their labels. --model takes an exported model instead. Parents that a training would leave out are marked;
--plausible leaves them out of the sheet.
"""
import numpy as np
from absl import flags

from data_tools import view_records
from dhpe_tf import command_line, files

_FLAGS = flags.FlagValues()
flags.DEFINE_string('model_dir', None, 'folder of a training', flag_values=_FLAGS)
flags.DEFINE_string('model', None, 'exported model with the built-in hand', flag_values=_FLAGS)
flags.DEFINE_string('records', None, 'folder of the record set', flag_values=_FLAGS)
flags.DEFINE_string('split', 'eval', 'which split', flag_values=_FLAGS)
flags.DEFINE_string('output', None, 'the PNG file', flag_values=_FLAGS)
flags.DEFINE_integer('count', 12, 'how many seeds', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_integer('stride', 1, 'take each n-th picture only', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_bool('plausible', False, 'only seeds that a training would take', flag_values=_FLAGS)
flags.DEFINE_integer('zoom', 1, 'enlargement of the crops', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_integer('seed', 0, 'of shapes, views, lights and backgrounds', lower_bound=0, flag_values=_FLAGS)
flags.DEFINE_multi_string('gin_param', [], 'setting such as "selfsup.Offspring.rotation_rad = 0.5"', flag_values=_FLAGS)
command_line.define_import_flag(_FLAGS)
flags.mark_flags_as_required(['records', 'output'], _FLAGS)


def main(argv: list[str]) -> None:
  """Makes offspring of the first predictions on --records and draws one row for each to --output.

  Raises:
    UserError: no prediction is plausible, or there is no usable model.
  """
  del argv
  import tensorflow as tf

  from dhpe_tf.data import input_pipeline
  from dhpe_tf.errors import UserError
  from dhpe_tf.methods.dhpe.selfsup.offspring import Offspring
  from dhpe_tf.visualization import pictures
  files.check_output(_FLAGS.output)
  predictor = _load()
  task, size = predictor.task, predictor.input_specs['image'].shape[1]
  breeder = Offspring(task.hand_model, size, start_epoch=0, parents_per_batch=1)  # whatever its settings
  breeder.begin_epoch(0)
  breed = tf.function(breeder.breed, autograph=False)
  dataset = input_pipeline.build_dataset(task, [(_FLAGS.records, _FLAGS.split, 1.0)], batch_size=1, image_size=size,
                                         training=False)
  rows, used = [], 0
  for number, parent in enumerate(dataset.shard(_FLAGS.stride, 0)):
    results = predictor.answer({'image': parent['image']})
    new = breed(parent, results, tf.constant([_FLAGS.seed, number], tf.int64))
    plausible = bool(new.pop('instance_weight')[0] > 0)
    if plausible or not _FLAGS.plausible:
      used += plausible
      rows.append(_row(task, parent, results, new, plausible))
    if len(rows) == _FLAGS.count:
      break
  if not rows:
    raise UserError(f'{_FLAGS.records} {_FLAGS.split}: no prediction is plausible; train longer or leave out '
                    '--plausible')
  pictures.write_png(_FLAGS.output, pictures.sheet([cell for row in rows for cell in row], len(rows[0])))
  print(f'{_FLAGS.output}: offspring of {len(rows)} predictions, {used} of which a training would take')


def _load():
  """Loads the predictor of --model_dir or --model; an export must have the built-in hand.

  Raises:
    UserError: not exactly one of the two flags, no export, or another hand.
  """
  from dhpe_tf import configuration
  from dhpe_tf.errors import UserError
  from dhpe_tf.inference import predictor
  if bool(_FLAGS.model_dir) == bool(_FLAGS.model):
    raise UserError('give --model_dir, of a training, or --model, an export, and not both')
  if _FLAGS.model_dir:
    return predictor.load(_FLAGS.model_dir, _FLAGS.gin_param)
  configuration.load(gin_params=_FLAGS.gin_param)
  folder = predictor.find_export(_FLAGS.model)
  if not folder:
    raise UserError(f'--model={_FLAGS.model} holds no exported model; export one by python -m dhpe_tf.export')
  loaded = predictor.from_export(folder)
  known = loaded.task.hand_model.fingerprint
  if loaded.card['hand_model'].get('fingerprint', known) != known:
    raise UserError(f'{folder}: made with another hand than the built-in one; give its --model_dir instead')
  return loaded


def _row(task, parent: dict, results: dict, new: dict, plausible: bool) -> list[np.ndarray]:
  """Draws the cells of one parent: its prediction, its offspring, and its offspring with labels.

  Args:
    task: draws the cells.
    parent: the instance, a batch of one.
    results: the model's outputs for it.
    new: its offspring, as of `Offspring.breed`.
    plausible: whether a training would use them.
  """
  seed = {name: value[0].numpy() for name, value in parent.items()}
  seed.update(joints_2d=results['joints_2d'][0].numpy(), mask=results['mask'][0].numpy(), joints_2d_weight=np.ones(21))
  children = [{name: value[i].numpy() for name, value in new.items()} for i in range(len(new['mask']))]
  for child in children:
    child['id'] = b'' if plausible else b'(left out)'
  bare = [{**child, 'joints_2d_weight': np.zeros(21), 'mask': np.zeros_like(child['mask'])} for child in children]
  return [_cell(task, instance) for instance in (seed, *bare, *children)]


def _cell(task, instance: dict) -> np.ndarray:
  """Draws an instance by `view_records.draw_cell`, enlarged by --zoom."""
  import tensorflow as tf
  side = _FLAGS.zoom * instance['image'].shape[0]

  def enlarge(picture: np.ndarray) -> np.ndarray:
    return tf.image.resize(picture, [side, side], 'bicubic').numpy()
  return view_records.draw_cell(task, {**instance, 'image': np.clip(enlarge(instance['image']), 0, 1),
                                 'mask': enlarge(instance['mask'][..., None])[..., 0]})


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
