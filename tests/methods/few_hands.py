"""A record set of few hands and a photograph, for the commands of a method."""
import pathlib

import numpy as np
from PIL import Image

from tests.data import records


def write(folder: pathlib.Path) -> None:
  """Writes records/, 6 hands to train and 4 in eval, and photos/a.png."""
  for split, count in (('train', 6), ('eval', 4)):
    records.write(str(folder / 'records'), count, split)
  (folder / 'photos').mkdir()
  picture = np.random.RandomState(1).randint(0, 255, [60, 60, 3], np.uint8)
  Image.fromarray(picture).save(folder / 'photos' / 'a.png')


def sources(folder: pathlib.Path, dataset: str = 'build_dataset') -> list[str]:
  """The bindings that let a dataset read these records."""
  return [f'{split}/{dataset}.sources = [("{folder / "records"}", "{split}", 1.0)]' for split in ('train', 'eval')]
