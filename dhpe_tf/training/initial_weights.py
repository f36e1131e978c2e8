"""Starting a training from what another has learnt: the paper trains its 2D part first, then all (3.1, 3.3)."""
import os

import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.training import checkpoints


def take_over(model_dir: str, model: tf.keras.Model) -> str:
  """Sets a model's weights to those of another training where the two have the same layers.

  Layers are the model's own, such as 'backbone' or 'mesh_regressor', and match by name; one that is missing there or
  has other sizes keeps the weights it has.

  Args:
    model_dir: folder of the other training; its latest checkpoint counts.
    model: to be changed.

  Returns:
    What was taken over and what was not, for people.

  Raises:
    UserError: there is no such training, or nothing of it fits.
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
  """Restores one layer as a whole or leaves it as it is; returns whether it was restored."""
  before = layer.get_weights()
  try:
    status = tf.train.Checkpoint(layers={name: layer}).restore(checkpoint)
    # The rest of the model and the optimizer stay unread.
    status.expect_partial().assert_existing_objects_matched()
    return True
  except (AssertionError, ValueError):
    layer.set_weights(before)
    return False
