import numpy as np
import pytest
from PIL import Image

from data_tools import view_records
from dhpe_tf import command_line
from tests.data import records
from tests.tasks.hand.hands import TASK


def view(**values):
  argv = ['view_records', *(f'--{name}={value}' for name, value in values.items())]
  return command_line.call(view_records.main, argv, view_records._FLAGS)


def test_sheet_shows_skeletons_masks_and_captions(tmp_path):
  root = records.write(tmp_path / 'set', 5)
  assert view(records=root, output=tmp_path / 'sheet.png', count=4, columns=3, cell=64) == 0
  sheet = np.asarray(Image.open(tmp_path / 'sheet.png'))
  assert sheet.shape == (2 * (64 + 14), 3 * 64, 3)
  first, blank = sheet[14:78, :64], sheet[78 + 14:, 64:]
  colours = {tuple(colour) for colour in first.reshape(-1, 3)}
  # Five colours of fingers besides the black picture and its grey frame.
  assert len([colour for colour in colours if max(colour) - min(map(int, colour)) > 100]) >= 5
  assert (sheet[:14, :64] > 200).any() and not blank.any()


@pytest.mark.parametrize('name, caption', [
    (b'training/00007/left', 'L 00007'), (b'train/ABF10/0012', 'L 0012'), (b'photo.jpg', 'L photo.jpg')])
def test_captions_name_the_picture(name, caption):
  assert TASK.caption({'id': name, 'is_left': True}) == caption


def test_what_is_missing_is_named(tmp_path, capsys):
  assert view(records=tmp_path / 'none', output=tmp_path / 'sheet.png') == 1
  assert 'no record set' in capsys.readouterr().err
  assert not (tmp_path / 'sheet.png').exists()


def test_a_folder_in_the_place_of_the_sheet_stays(tmp_path, capsys):
  (tmp_path / 'sheet.png' / 'kept').mkdir(parents=True)
  assert view(records=records.write(tmp_path / 'set', 1), output=tmp_path / 'sheet.png') == 1
  assert 'sheet.png: it is a folder' in capsys.readouterr().err
  assert (tmp_path / 'sheet.png' / 'kept').is_dir()
