"""A predictor whose model runs on a server of TensorFlow Serving's interface."""
import functools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from dhpe_tf import configuration
from dhpe_tf.errors import UserError
from dhpe_tf.inference import predictor
from dhpe_tf.serving.client import Client
from dhpe_tf.serving.transports import SignatureSpec
from dhpe_tf.tasks.task import Tensors


def connect(server: str, path: str, gin_params: Sequence[str] = (), interface: str = 'grpc') -> predictor.Predictor:
  """Returns a predictor that asks a server.

  Args:
    server: host:port of the interface, with /name where the model's name there is not that of the folder.
    path: folder of the export that the server has, or of one of its versions. Its model card tells what a server does
      not, such as the faces of the mesh.
    gin_params: bindings, such as those of `Client`.
    interface: of the server, 'grpc' or 'rest'.

  Raises:
    UserError: the folder holds no export, the server does not answer, or its model has other signatures.
  """
  folder = predictor.find_export(path)
  if not folder:
    raise UserError(f'{path}: holds no export; give the export that the server has.')
  if gin_params:
    configuration.load(gin_params=gin_params)
  card = predictor.read_card(folder)
  address, _, name = server.partition('/')
  client = Client(address, name or _model_name(folder), interface)
  told = client.signatures()
  _check(told, card, server, folder)
  functions = {signature: functools.partial(_call, client, signature) for signature in told}
  specs = {signature: spec.inputs for signature, spec in told.items()}
  return predictor.from_signatures(functions, specs, card, server)


def _model_name(folder: str) -> str:
  """The name of a model: that of the folder of its versions."""
  return os.path.basename(os.path.dirname(os.path.abspath(folder)))


def _call(client: Client, signature: str, **inputs: tf.Tensor) -> Tensors:
  """Calls a signature of the server."""
  found = client.predict(signature, {name: value.numpy() for name, value in inputs.items()})
  return {name: tf.constant(value) for name, value in found.items()}


def _check(told: Mapping[str, SignatureSpec], card: Mapping[str, Any], server: str, folder: str) -> None:
  """Raises a UserError if the signatures of the server are not those of the card."""
  described = {name: (_types(parts['inputs']), _types(parts['outputs'])) for name, parts in card['signatures'].items()}
  found = {name: tuple({key: (spec.dtype.name, spec.shape.as_list()) for key, spec in specs.items()}
                       for specs in parts) for name, parts in told.items()}
  differing = sorted(name for name in {*described, *found} if described.get(name) != found.get(name))
  if differing:
    raise UserError(f'{server}: has another model than {folder}, see its signature {differing[0]}; give --model, the '
                    'export that the server has.')


def _types(described: Mapping[str, Any]) -> dict[str, dict]:
  """Types and shapes of inputs or outputs in a model card, by name."""
  return {name: (value['dtype'], value['shape']) for name, value in described.items()}
