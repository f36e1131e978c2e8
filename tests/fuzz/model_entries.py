"""Entries of models on disk: model cards, weights of exports, checkpoints, and the networks in a wheel."""
import os
import random
import shutil
import zipfile

import tensorflow as tf
from PIL import Image

from data_tools import landmarker
from dhpe_tf import predict
from dhpe_tf.inference import predictor
from dhpe_tf.serving import exporter, model_card
from dhpe_tf.training import checkpoints
from tests.data_tools import test_convert_landmarker
from tests.fuzz import mutations, remembered
from tests.fuzz.cases import Changed, Entry, command, seed_of
from tests.serving import toy
from tests.training import tiny


def _card_entry(folder: str) -> Entry:
  """The model card of an export, which `predict` reads before anything else; its networks are loaded once."""
  remembered.load_exports_once()
  version = exporter.export(toy.build_toy_model(), os.path.join(folder, 'toy'), model_card.describe(toy.TASK, 'toy'))
  path, picture, output = (os.path.join(*parts) for parts in ((version, exporter.CARD), (folder, 'a.png'),
                                                              (folder, 'out')))
  Image.fromarray(toy.bright_picture()).save(picture)

  def read(path: str) -> None:
    del path
    try:
      command(predict.main, [f'--model={version}', f'--input={picture}', f'--output={output}', '--box=whole'],
              predict._FLAGS)
    finally:
      shutil.rmtree(output, ignore_errors=True)
  return Changed([seed_of(path, mutations.change_json)], read, also=(version,), tokens=mutations.TEXT_TOKENS)


def _weights_entry(folder: str) -> Entry:
  """Weights of an export of few numbers; its graph is cut off, but not changed: TensorFlow takes graphs for trusted."""
  version = exporter.export(tiny.build_tiny_model(), os.path.join(folder, 'tiny'), model_card.describe(tiny.TASK, 'x'))
  seeds = [seed_of(os.path.join(version, 'variables', f'variables.{name}'))
           for name in ('index', 'data-00000-of-00001')]
  seeds.append(seed_of(os.path.join(version, 'saved_model.pb'), lambda content, chance: content[:chance.randrange(
      len(content))]))
  inputs = {'image': tf.zeros([1, 4, 4, 3])}

  def read(path: str) -> None:
    del path
    command(lambda argv: predictor.load(version).answer(inputs))
  return Changed(seeds, read, also=(version,))


def _checkpoint_entry(folder: str) -> Entry:
  """The folder of a training, restored as a training and as an export do."""
  model_dir = os.path.join(folder, 'training')
  tiny.trainer(model_dir, epochs=1).run()
  inside = os.path.join(model_dir, checkpoints.FOLDER)
  seeds = [seed_of(os.path.join(inside, name)) for name in sorted(os.listdir(inside))]
  seeds.append(seed_of(os.path.join(model_dir, checkpoints.ARCHITECTURE), mutations.change_json))
  trainer = tiny.trainer(model_dir, epochs=1)

  def read(path: str) -> None:
    del path

    def main(argv: list[str]) -> None:
      del argv
      checkpoints.restore_weights(model_dir, trainer.model)
      checkpoints.Checkpoints(model_dir, trainer.model, trainer._checkpoints.progress).restore()
    command(main)
  return Changed(seeds, read, also=(model_dir,), tokens=(*mutations.TEXT_TOKENS, b'model_checkpoint_path: "',
                                                         b'all_model_checkpoint_paths: "', b'ckpt-4', b'ckpt-6'))


def _wheel_entry(folder: str) -> Entry:
  """A network in a wheel, converted and compared with TensorFlow Lite's interpreter."""
  path, inside = os.path.join(folder, 'a.whl'), landmarker.SOURCES[0].path
  tf.keras.utils.set_random_seed(3)
  with zipfile.ZipFile(path, 'w') as archive:
    archive.writestr(inside, test_convert_landmarker._tflite(test_convert_landmarker._model()))
  source = test_convert_landmarker._source(['conv', 'deep', 'slope', 'bare', 'dense'])

  def change(content: bytes, chance: random.Random) -> bytes:
    tokens = b'TFL3', b'\x04\0\0\0', b'\xff\xff\xff\xff'
    return mutations.mutate(content, range(len(content)), chance, [content], tokens)

  def read(path: str) -> None:
    content = landmarker.read_file(path, inside)
    model, _ = landmarker.convert(content, source, path)
    landmarker.difference(model, content, source)
    tf.keras.backend.clear_session()
  return Changed([seed_of(path), *[seed_of(path, mutations.inside_zip(change))] * 4], read,
                 tokens=(b'PK\1\2', b'PK\3\4', b'PK\5\6'))


ENTRIES = {'card': _card_entry, 'weights': _weights_entry, 'checkpoints': _checkpoint_entry, 'wheel': _wheel_entry}
ABOUT = {'card': 'a model card, by `predict`', 'weights': 'variables and a cut graph of an export, by `predictor.load`',
         'checkpoints': '`restore_weights`, `Checkpoints.restore`', 'wheel': '`landmarker.convert`, `difference`'}
SLOW = tuple(ENTRIES)
