import numpy as np

from dhpe_tf.visualization import pictures


def test_bytes_and_floats_lead_to_each_other():
  values = np.arange(256, dtype=np.uint8).reshape(16, 16)
  np.testing.assert_array_equal(pictures.to_bytes(pictures.to_floats(values)), values)
  np.testing.assert_array_equal(pictures.to_bytes(np.array([-1., 0.5, 2.])), [0, 128, 255])


def test_a_sheet_holds_its_cells_in_rows():
  cells = [np.full([2, 3, 3], value, np.uint8) for value in (1, 2, 3)]
  sheet = pictures.sheet(cells, 2)
  assert sheet.shape == (4, 6, 3)
  np.testing.assert_array_equal(sheet[::2, ::3, 0], [[1, 2], [3, 0]])
  assert pictures.sheet(cells, 8).shape == (2, 9, 3)


def test_a_caption_stands_above_and_changes_nothing_below():
  picture = np.full([20, 60, 3], 90, np.uint8)
  captioned = pictures.with_caption(picture, 'a rather long name that does not fit')
  np.testing.assert_array_equal(captioned[-20:], picture)
  assert captioned.shape[0] > 20 and captioned[:-20].max() > 150
