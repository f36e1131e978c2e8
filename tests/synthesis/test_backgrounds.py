import numpy as np
import pytest
from PIL import Image

from dhpe_tf.errors import UserError
from dhpe_tf.synthesis.backgrounds import Backgrounds, make_up


def draws(backgrounds, count=4, seed=0):
  random = np.random.default_rng(seed)
  return [backgrounds.draw(random, 40) for _ in range(count)]


def test_made_up_pictures_are_a_function_of_the_seed_and_all_different():
  first, again, other = (draws(Backgrounds(seed, pool_size=5, pool_side_px=64)) for seed in (1, 1, 2))
  assert all(picture.shape == (40, 40, 3) and picture.dtype == np.uint8 for picture in first)
  np.testing.assert_array_equal(first, again)
  assert len({picture.tobytes() for picture in first + other}) == 8


def test_pictures_vary_in_brightness_colour_and_detail():
  random = np.random.default_rng(0)
  pictures = np.array([make_up(random, 48) for _ in range(60)], float)
  brightness = pictures.mean(axis=(1, 2, 3))
  assert brightness.min() < 70 and brightness.max() > 170
  colour = np.ptp(pictures.mean(axis=(1, 2)), axis=1)
  assert np.median(colour) < 60 < colour.max()  # mostly dull, some not
  detail = pictures.std(axis=(1, 2)).mean(axis=1)
  assert detail.min() < 15 and detail.max() > 40


def test_photographs_of_a_folder(tmp_path):
  for number, colour in enumerate([(250, 0, 0), (0, 0, 250)]):
    Image.new('RGB', (80 + 20 * number, 60), colour).save(tmp_path / f'{number}.jpg')
  for picture in draws(Backgrounds(0, str(tmp_path), pool_side_px=64), 8):
    # Recoloured, but red stays red and blue blue.
    red, _, blue = picture.reshape(-1, 3).mean(axis=0)
    assert abs(red - blue) > 60


def test_a_folder_without_photographs(tmp_path):
  with pytest.raises(UserError, match='backgrounds: no picture in'):
    Backgrounds(0, str(tmp_path))
  with pytest.raises(UserError, match='nowhere cannot be read'):
    Backgrounds(0, str(tmp_path / 'nowhere'))
  (tmp_path / 'a.jpg').write_text('not a picture')
  with pytest.raises(UserError, match='a.jpg: not a picture'):
    Backgrounds(0, str(tmp_path))
