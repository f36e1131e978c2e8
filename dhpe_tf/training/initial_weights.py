"""Starts a training from the weights of another: the paper trains its 2D part first, then the whole (3.1, 3.3)."""
import os

import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.training import checkpoints


def take_over(model_dir: str, model: tf.keras.Model) -> str:
  """Copies the latest weights of another training into those layers of a model that both have.

  Layers are the model's direct ones, such as 'backbone' or 'mesh_regressor', and match by name. A layer that the other
  training lacks, or has in other sizes, keeps its weights.

  Args:
    model_dir: folder of the other training.
    model: the model to change.

  Returns:
    A line of text that names the copied layers and the others.

  Raises:
    UserError: there is no such training, or none of its layers fits.
  """
  latest = checkpoints.latest(model_dir)
  weighty = {name: layer for name, layer in checkpoints.layers_by_name(model).items() if layer.weights}
  taken = [name for name, layer in weighty.items() if _restore(latest, name, layer)]
  if not taken:
    raise UserError(f'train.initial_weights is {model_dir!r}, but no layer in it fits this model (layers: '
                    f'{", ".join(weighty)}); name a training of the same networks.')
  new = [name for name in weighty if name not in taken]
  return (f'starting from {os.path.relpath(latest)}: {", ".join(taken)}'
          + (f'; new: {", ".join(new)}' if new else ''))


def _restore(checkpoint: str, name: str, layer: tf.keras.layers.Layer) -> bool:
  """Restores one layer completely or leaves it unchanged; returns whether it was restored."""
  before = layer.get_weights()
  try:
    status = tf.train.Checkpoint(layers={name: layer}).restore(checkpoint)
    # The checkpoint also holds the optimizer and the other layers, which are not restored here.
    status.expect_partial().assert_existing_objects_matched()
    return True
  except (AssertionError, ValueError):
    layer.set_weights(before)
    return False
