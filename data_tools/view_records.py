"""Draws the labels of a record set onto its pictures: one sheet to look at before a training, not after.

  python -m data_tools.view_records --records=records/photos --split=train --count=40 --output=sheet.png

Each cell is the crop as the network will see it, left hands mirrored: skeleton, outline of the mask in white, and name
and side above. --training draws the augmented crops instead.
"""
import os
import sys

import numpy as np
from absl import flags
from PIL import Image, ImageDraw

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from dhpe_tf import command_line

_FLAGS = flags.FlagValues()
flags.DEFINE_string('records', None, 'folder of the record set', flag_values=_FLAGS)
flags.DEFINE_string('split', 'train', 'which split', flag_values=_FLAGS)
flags.DEFINE_integer('count', 40, 'how many records', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_integer('columns', 8, 'cells side by side', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_integer('cell', 160, 'side of a cell, px', lower_bound=32, flag_values=_FLAGS)
flags.DEFINE_string('output', None, 'the PNG file', flag_values=_FLAGS)
flags.DEFINE_bool('training', False, 'draw augmented crops in random order', flag_values=_FLAGS)
flags.DEFINE_integer('seed', 0, 'of order and augmentation', flag_values=_FLAGS)
flags.mark_flags_as_required(['records', 'output'], _FLAGS)
_CAPTION_PX = 14


def main(argv: list[str]) -> None:
  """Draws the sheet."""
  del argv
  from dhpe_tf.data import input_pipeline
  from dhpe_tf.visualization import overlay
  dataset = input_pipeline.build_dataset([(_FLAGS.records, _FLAGS.split, 1.0)], batch_size=1, image_size=_FLAGS.cell,
                                         training=_FLAGS.training, seed=_FLAGS.seed)
  cells = [draw_cell(instance) for instance in dataset.unbatch().take(_FLAGS.count).as_numpy_iterator()]
  overlay.write_png(_FLAGS.output, sheet(cells, _FLAGS.columns))
  print(f'{_FLAGS.output}: {len(cells)} records of {_FLAGS.records} {_FLAGS.split}')


def draw_cell(instance: dict) -> np.ndarray:
  """One cell, uint8 [side + caption, side, 3], of an unbatched instance of the input pipeline."""
  from dhpe_tf.visualization import overlay
  image = overlay.draw_skeleton(instance['image'], instance['joints_2d'], instance['joints_2d_weight'])
  inside = instance['mask'] > 0.5
  rim = inside & ~(np.roll(inside, 1, 0) & np.roll(inside, -1, 0) & np.roll(inside, 1, 1) & np.roll(inside, -1, 1))
  picture = overlay.to_bytes(np.where(rim[..., None], 1.0, image))
  side = picture.shape[0]
  canvas = Image.new('RGB', (side, side + _CAPTION_PX), (24, 24, 24))
  canvas.paste(Image.fromarray(picture), (0, _CAPTION_PX))
  name = instance['id'].decode(errors='replace').rsplit('/', 1)[-1]
  ImageDraw.Draw(canvas).text((2, 1), f"{'L' if instance['is_left'] else 'R'} {name}"[:side // 6], fill=(230, 230, 230))
  return np.asarray(canvas)


def sheet(cells: list[np.ndarray], columns: int) -> np.ndarray:
  """Cells of one size in rows of `columns`, black where there is none."""
  blank = np.zeros_like(cells[0])
  cells = cells + [blank] * (-len(cells) % min(columns, len(cells)))
  columns = min(columns, len(cells))
  return np.concatenate([np.concatenate(cells[i:i + columns], axis=1) for i in range(0, len(cells), columns)])


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
