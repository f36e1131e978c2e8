"""PoseNet2D of Zimmermann and Brox: the names and orders of its arrays, and those of our pose machine."""
import numpy as np

from dhpe_tf.errors import UserError
from dhpe_tf.hand import restricted_pickle, skeletons

IMAGE_SIZE = 256  # of the crops that it was trained on
_SCOPE = 'PoseNet2D'

# Our layer -> theirs. A stage is theirs 'unit': five convolutions, one that mixes, and the scores.
_LAYERS = {
    **{f'conv{block}_{number}': f'conv{block}_{number}'
       for block, count in ((1, 2), (2, 2), (3, 4), (4, 7), (5, 1)) for number in range(1, count + 1)},
    'stage1': 'conv5_2',
    **{f'stage{stage}_conv_{number}': f'conv{stage + 4}_{number}' for stage in (2, 3) for number in range(1, 6)},
    **{f'stage{stage}_mix_1': f'conv{stage + 4}_6' for stage in (2, 3)},
    **{f'stage{stage}': f'conv{stage + 4}_7' for stage in (2, 3)},
}
_SCORES = ('stage1', 'stage2', 'stage3')  # layers whose outputs are keypoints
_ON_SCORES = ('stage2_conv_1', 'stage3_conv_1')  # layers whose first inputs are keypoints


def read(path: str) -> dict[str, np.ndarray]:
  """The arrays of a pickle of theirs, by names such as PoseNet2D/conv1_1/weights.

  Raises:
    UserError: it is no pickle of a dictionary of arrays with PoseNet2D.
  """
  loaded = restricted_pickle.load(path)
  if not isinstance(loaded, dict) or not any(str(name).startswith(f'{_SCOPE}/') for name in loaded):
    raise UserError(f'{path} holds no {_SCOPE}; give the pickle of the 2D network or of the whole one')
  return {name: value for name, value in loaded.items() if isinstance(value, np.ndarray)}


def convert(theirs: dict[str, np.ndarray], source: str) -> dict[str, np.ndarray]:
  """Their arrays by our names (`stored_weights.key`), keypoints in our order.

  Args:
    theirs: of `read`.
    source: where they come from, for messages.

  Raises:
    UserError: an array is missing or has not as many dimensions or keypoints as theirs have.
  """
  order = skeletons.permutation('rhd', 'dhpe')
  found = {}
  for ours, name in _LAYERS.items():
    kernel, bias = (_get(theirs, f'{_SCOPE}/{name}/{part}', rank, source) for part, rank in (('weights', 4),
                                                                                            ('biases', 1)))
    if ours in _SCORES:
      _check_keypoints(kernel.shape[3] == len(bias) == len(order), name, source)
      kernel, bias = kernel[..., order], bias[order]
    if ours in _ON_SCORES:
      _check_keypoints(kernel.shape[2] > len(order), name, source)
      kernel = np.concatenate([kernel[:, :, order], kernel[:, :, len(order):]], axis=2)
    found[f'{ours}/kernel'], found[f'{ours}/bias'] = kernel, bias
  return found


def _get(theirs: dict[str, np.ndarray], name: str, rank: int, source: str) -> np.ndarray:
  """An array of floats of so many dimensions.

  Raises:
    UserError: there is none.
  """
  value = theirs.get(name)
  if value is None or value.ndim != rank or value.dtype.kind != 'f':
    raise UserError(f'{source}: no array {name} of {rank} dimensions; take the file from its authors')
  return value.astype(np.float32)


def _check_keypoints(fits: bool, name: str, source: str) -> None:
  """Raises a UserError unless a layer has channels for the keypoints."""
  if not fits:
    raise UserError(f'{source}: {_SCOPE}/{name} has other channels than {skeletons.NUM_KEYPOINTS} keypoints')
