"""Builds the trained method of an export again, so that it can be exported anew without the folder of its training."""
from collections.abc import Iterable

import tensorflow as tf

from dhpe_tf import configuration, experiment
from dhpe_tf.errors import UserError, naming
from dhpe_tf.inference import predictor, saved_models
from dhpe_tf.methods.steps import TrainableMethod

_REMEDY = 'export the training again by --model_dir.'


def load(path: str, gin_params: Iterable[str] = ()) -> tuple[experiment.Experiment, TrainableMethod]:
  """Builds the method by the configuration in the model card, and gives it the weights of the export.

  Args:
    path: folder of an export or of one of its versions.
    gin_params: bindings that override those of the model card.

  Returns:
    The experiment and its method.

  Raises:
    UserError: the folder holds no export, its model card no configuration, or its weights do not fit.
  """
  folder = predictor.find_export(path)
  if not folder:
    raise UserError(f'{path}: holds no export; give a folder that python -m dhpe_tf.export wrote.')
  text = predictor.read_card(folder).get('config')
  if not isinstance(text, str) or not text:
    raise UserError(f'{folder}: its model card holds no config; export the training again by --model_dir.')
  configuration.load(saved=f'{folder}: config of its model card', saved_text=text, gin_params=gin_params)
  found = experiment.Experiment()
  method = found.build_method()
  _assign(method, folder)
  return found, method


def _assign(model: TrainableMethod, folder: str) -> None:
  """Gives the model's weights the values of the export's variables of the same names and shapes."""
  loaded = saved_models.load(folder, _REMEDY)
  # What a graph of any content holds is not known.
  with naming(f'{folder}: not a complete export', _REMEDY, Exception):
    functions = loaded.signatures.values()
    variables = list({id(variable): variable for function in functions for variable in function.variables}.values())
  for weight in model.weights:
    values = [variable for variable in variables if _key(variable) == _key(weight)]
    if len(values) != 1:
      raise UserError(f'{folder}: has {len(values)} weights named {weight.name} of shape {weight.shape.as_list()} and '
                      'not one; export the training again by --model_dir.')
    weight.assign(tf.cast(values[0], weight.dtype))


def _key(variable: tf.Variable) -> tuple[str, tuple[int, ...]]:
  """What tells variables of one method apart."""
  return variable.name, tuple(variable.shape)
