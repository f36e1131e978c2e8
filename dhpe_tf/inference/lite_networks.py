"""Reads the networks that an export holds as files of TensorFlow Lite, by its model card."""
import hashlib
import os
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

import tensorflow as tf

from dhpe_tf import files
from dhpe_tf.errors import UserError, naming
from dhpe_tf.networks import lite

_REMEDY = 'export the model again.'


class LiteNetworks(NamedTuple):
  """The networks by name, and the settings of the model card; see `method.LiteParts`."""

  networks: dict[str, lite.LiteNetwork]
  settings: Mapping[str, Any]


def read(folder: str, card: Mapping[str, Any]) -> Optional[LiteNetworks]:
  """Reads the networks of a version of an export.

  Args:
    folder: of the version.
    card: its model card.

  Returns:
    The networks, or None if the export has none, or if there is a GPU, which is faster with the graph.

  Raises:
    UserError: a file is missing or damaged, or not the one of the card.
  """
  if 'lite' not in card or tf.config.list_physical_devices('GPU'):
    return None
  with naming(f'{folder}: not a complete export, the entry lite of its model card is damaged', _REMEDY, KeyError,
              TypeError, AttributeError):
    described = {name: (os.path.join(folder, entry['file']), entry['sha256'])
                 for name, entry in card['lite']['networks'].items()}
    settings = dict(card['lite']['settings'])
  return LiteNetworks({name: _read(*entry) for name, entry in described.items()}, settings)


def _read(path: str, sha256: str) -> lite.LiteNetwork:
  """Reads one network whose content has a known hash."""
  content = files.read_within(path, lite.MOST_BYTES, _REMEDY)
  if hashlib.sha256(content).hexdigest() != sha256:
    raise UserError(f'{path}: not the file of the model card; {_REMEDY}')
  return lite.LiteNetwork(content, path)
