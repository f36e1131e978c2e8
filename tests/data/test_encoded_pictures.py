import io
import resource

import gin
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dhpe_tf.data import encoded_pictures
from dhpe_tf.errors import UserError
from tests.data import damage, headers

HEADERS = {'PNG': headers.png_header, 'BMP': headers.bmp_header, 'JPEG': headers.jpeg_header}
decode = tf.function(encoded_pictures.decode, [tf.TensorSpec([], tf.string)], autograph=False)
decode_if_sound = tf.function(encoded_pictures.decode_if_sound, [tf.TensorSpec([], tf.string)], autograph=False)


def encode(picture, kind, **options):
  buffer = io.BytesIO()
  Image.fromarray(picture).save(buffer, kind, **options)
  return buffer.getvalue()


@pytest.mark.parametrize('kind, options', [('PNG', {}), ('BMP', {}), ('JPEG', {}), ('JPEG', {'progressive': True})])
def test_pictures_are_decoded(kind, options):
  data = encode(np.random.RandomState(0).randint(0, 255, [7, 12, 3]).astype(np.uint8), kind, **options)
  picture, status = decode_if_sound(data)
  assert status == encoded_pictures.OK
  np.testing.assert_array_equal(picture, tf.io.decode_image(data, 3))
  np.testing.assert_array_equal(decode(data), picture)


@pytest.mark.parametrize('kind', HEADERS)
@pytest.mark.parametrize('size', [(20000, 20000), (50001, 1000)])
def test_what_the_header_announces_is_refused_before_it_is_decoded(kind, size):
  before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  data = HEADERS[kind](*size)
  with pytest.raises(tf.errors.InvalidArgumentError, match='images: a picture may have at most 50000000 pixels'):
    decode(data)
  picture, status = decode_if_sound(data)
  assert status == encoded_pictures.TOO_LARGE and picture.shape == [1, 1, 3]
  assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10  # KiB


def test_a_bmp_upside_down_has_its_size_too():
  assert decode_if_sound(headers.bmp_header(20000, -20000))[1] == encoded_pictures.TOO_LARGE
  assert decode_if_sound(headers.bmp_header(-2**31, -2**31))[1] == encoded_pictures.TOO_LARGE
  assert decode_if_sound(headers.png_header(2**32 - 1, 2**32 - 1))[1] == encoded_pictures.TOO_LARGE


@pytest.mark.parametrize('kind', HEADERS)
def test_what_is_behind_the_header_may_be_missing(kind):
  data = encode(np.random.RandomState(0).randint(0, 255, [40, 50, 3]).astype(np.uint8), kind)
  for length in range(0, len(data) - 1, max(7, len(data) // 30)):
    status = int(decode_if_sound(data[:length])[1])
    assert status in (encoded_pictures.NO_PICTURE, encoded_pictures.DAMAGED), length
    with pytest.raises(tf.errors.InvalidArgumentError):
      decode(data[:length])


def test_other_formats_are_not_taken():
  for kind in ('GIF', 'WEBP'):
    data = encode(np.zeros([7, 12, 3], np.uint8), kind)
    assert decode_if_sound(data)[1] == encoded_pictures.NO_PICTURE
    with pytest.raises(tf.errors.InvalidArgumentError, match='images: not a picture; send JPEG, PNG or BMP'):
      decode(data)


def test_limits_are_settings():
  gin.parse_config('encoded_pictures.limits.max_bytes = 300\nencoded_pictures.limits.max_pixels = 84')
  try:
    for picture, words in ((np.zeros([7, 13, 3]), 'at most 84 pixels'), (np.zeros([7, 12, 3]), ''),
                           (np.random.RandomState(0).randint(0, 255, [7, 12, 3]), 'at most 300 bytes')):
      data = encode(picture.astype(np.uint8), 'PNG')
      assert encoded_pictures.decode_if_sound(tf.constant(data))[1] == (encoded_pictures.TOO_LARGE if words else 0)
      if words:
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
          encoded_pictures.decode(tf.constant(data))
  finally:
    gin.clear_config()


@pytest.mark.parametrize('kind', ['PNG', 'JPEG'])
def test_damage_behind_the_header_is_found(kind):
  whole = damage.encode(kind)
  encoded_pictures.check(whole, 'whole')
  damaged = [whole[:len(whole) // 2], damage.with_marker(whole) if kind == 'JPEG' else damage.flipped(whole)]
  for data in damaged:
    with pytest.raises(UserError, match='a.png: the picture is damaged or cut off; get a whole copy'):
      encoded_pictures.check(data, 'a.png')
    assert not encoded_pictures.is_sound(data)
