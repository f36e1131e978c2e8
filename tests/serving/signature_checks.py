"""Compares the model card of an export with its graph: the SignatureDefs that a server tells its clients."""
import json

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2


def signature_defs(folder):
  """The SignatureDefs of an export's graph that have inputs, by name."""
  saved = saved_model_pb2.SavedModel()
  with open(f'{folder}/saved_model.pb', 'rb') as file:
    saved.ParseFromString(file.read())
  return {name: found for name, found in saved.meta_graphs[0].signature_def.items() if found.inputs}


def names(folder):
  """The names of an export's signatures."""
  return set(signature_defs(folder))


def compare(folder):
  """Asserts that the card tells names, types and shapes as the graph has them, and a meaning of every one."""
  with open(f'{folder}/assets.extra/model_card.json', encoding='utf-8') as file:
    described = json.load(file)['signatures']
  defs = signature_defs(folder)
  assert set(described) == set(defs)
  for name, found in defs.items():
    assert _types(described[name]['inputs']) == _in_graph(found.inputs), name
    # Results have shapes in the graph only as far as TensorFlow infers them.
    assert _types(described[name]['outputs']) == _in_graph(found.outputs), name
    for kind in ('inputs', 'outputs'):
      silent = [entry for entry, value in described[name][kind].items() if len(value['about']) < 4]
      assert not silent, f'{name}, {kind}: no meaning of {", ".join(silent)}'


def _types(described):
  """Type and shape by name, of the card."""
  return {name: (value['dtype'], value['shape']) for name, value in described.items()}


def _in_graph(infos):
  """Type and shape by name, of a SignatureDef."""
  return {name: (tf.as_dtype(info.dtype).name, [None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim])
          for name, info in infos.items()}
