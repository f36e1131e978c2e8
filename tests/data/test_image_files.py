import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from dhpe_tf.data import image_files
from dhpe_tf.errors import UserError
from tests.data import damage


def encode(pixels, kind='PNG', **options):
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, kind, **options)
  return buffer.getvalue()


def png_header(width, height):
  def chunk(kind, body):
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
  return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0))
          + chunk(b'IDAT', zlib.compress(b'')))


@pytest.fixture
def picture():
  return np.random.RandomState(0).randint(0, 256, (5, 7, 3), np.uint8)


def test_size_is_height_and_width_and_pixels_come_back(picture):
  data = encode(picture)
  assert image_files.read_image_size(data) == (5, 7)
  np.testing.assert_array_equal(image_files.decode_image(data), picture)


def test_orientation_is_applied_to_size_and_pixels_alike(picture):
  exif = Image.Exif()
  exif[0x0112] = 6  # to be turned 90 degrees clockwise
  data = encode(picture, exif=exif.tobytes())
  assert image_files.read_image_size(data) == (7, 5)
  np.testing.assert_array_equal(image_files.decode_image(data), np.rot90(picture, -1))


@pytest.mark.parametrize('pixels', [
    np.full((4, 6), 200, np.uint8), np.full((4, 6), 200 * 256 + 200, np.uint16), np.full((4, 6, 4), 200, np.uint8)])
def test_grey_sixteen_bit_and_transparent_pictures_become_rgb(pixels):
  np.testing.assert_array_equal(image_files.decode_image(encode(pixels)), np.full((4, 6, 3), 200, np.uint8))


@pytest.mark.parametrize('data', [b'', b'hello', b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n'])
def test_what_is_no_picture_is_named(data):
  for read in (image_files.read_image_size, image_files.decode_image):
    with pytest.raises(UserError, match='notes.jpg: not a picture'):
      read(data, 'notes.jpg')


@pytest.mark.parametrize('side', [8000, 60000, 2**31 - 1])
def test_a_huge_header_is_refused_before_decoding(side):
  for read in (image_files.read_image_size, image_files.decode_image):
    with pytest.raises(UserError, match='big.png: its header announces .* the limit is 50000000'):
      read(png_header(side, side), 'big.png')


@pytest.mark.parametrize('kind', ['PNG', 'JPEG'])
def test_a_cut_off_picture_is_refused(kind):
  data = encode(np.random.RandomState(0).randint(0, 256, (64, 64, 3), np.uint8), kind)
  with pytest.raises(UserError, match='half: the picture is damaged or cut off'):
    image_files.decode_image(data[:len(data) // 2], 'half')


def test_files_that_are_missing_folders_or_too_long(tmp_path):
  with pytest.raises(UserError, match='none.png: cannot be read'):
    image_files.read_image(tmp_path / 'none.png')
  (tmp_path / 'folder').mkdir()
  with pytest.raises(UserError, match='folder: cannot be read'):
    image_files.read_image(tmp_path / 'folder')
  (tmp_path / 'long.png').write_bytes(b'x' * 100)
  with pytest.raises(UserError, match='too long for a picture'):
    image_files.read_bytes(tmp_path / 'long.png', max_bytes=99)


def test_bytes_for_records_are_upright_pngs_or_jpegs(tmp_path):
  pixels = np.random.default_rng(0).integers(0, 255, [12, 20, 3], np.uint8)
  image = Image.fromarray(pixels)
  for name in ('a.png', 'a.jpg'):
    image.save(tmp_path / name)
    assert image_files.read_upright(tmp_path / name) == ((tmp_path / name).read_bytes(), 12, 20)
  exif = Image.Exif()
  exif[0x0112] = 6
  image.save(tmp_path / 'turned.png', exif=exif)
  data, height, width = image_files.read_upright(tmp_path / 'turned.png')
  assert (height, width) == (20, 12)
  np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(data))), pixels[::-1].transpose(1, 0, 2))
  image.save(tmp_path / 'a.bmp')
  data = image_files.read_upright(tmp_path / 'a.bmp')[0]
  np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(data))), pixels)
  (tmp_path / 'cut.png').write_bytes((tmp_path / 'a.png').read_bytes()[:-40])
  with pytest.raises(UserError, match='cut.png'):
    image_files.read_upright(tmp_path / 'cut.png')


def test_the_checksums_of_a_png_find_every_flipped_bit():
  whole = damage.encode('PNG', side=40)
  image_files.check_sums(whole)
  image_files.check_sums(damage.flipped(damage.encode('JPEG'), count=20))  # holds no checksums
  for seed in range(20):
    with pytest.raises(UserError, match='a.png: the picture is damaged or cut off .*; get a whole copy'):
      image_files.check_sums(damage.flipped(whole, seed), 'a.png')
