"""Weights of Keras models in npz files: one array `layer/variable` for each variable, float16 or float32."""
import pathlib

import numpy as np
import tensorflow as tf

from dhpe_tf import errors, files, plain_arrays

ASSETS = pathlib.Path(__file__).parent / 'assets'


def key(layer: tf.keras.layers.Layer, variable: tf.Variable) -> str:
  """The name of a variable's array: that of its layer and its own, such as `stem/kernel`."""
  return f'{layer.name}/{variable.name.split("/")[-1].split(":")[0]}'


def assign(model: tf.keras.Model, arrays: dict[str, np.ndarray], source: str) -> None:
  """Sets all variables of a model.

  Args:
    model: a model whose layers have unique names.
    arrays: by the names of `key`, each of the variable's shape.
    source: where the arrays come from, for messages.

  Raises:
    UserError: an array is missing, is not needed or has another shape; the model is then unchanged.
  """
  variables = {key(layer, variable): variable for layer in model.layers for variable in layer.weights}
  for name, variable in variables.items():
    if name not in arrays:
      raise errors.UserError(f'{source} holds no {name}, so it is not for {model.name}')
    if arrays[name].shape != tuple(variable.shape):
      raise errors.UserError(f'{source}: {name} is {arrays[name].shape}; {model.name} needs {tuple(variable.shape)}')
  if unknown := sorted(set(arrays) - set(variables)):
    raise errors.UserError(f'{source} holds {unknown[0]}, which {model.name} has not')
  for name, variable in variables.items():
    variable.assign(arrays[name].astype(np.float32))


def load(model: tf.keras.Model, path: files.PathLike) -> None:
  """Sets all variables of a model from an npz file.

  Raises:
    UserError: no such file, no npz file, or one for another model.
  """
  assign(model, plain_arrays.read_npz(str(path)), str(path))
