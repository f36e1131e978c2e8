import re

import pytest
import tensorflow as tf

from dhpe_tf import errors


def test_a_message_is_one_printable_line():
  assert str(errors.UserError('plain text, ä: 手')) == 'plain text, ä: 手'
  hostile = 'a\n  b\r\t\0\x1b[2J\u2028\u202e\udcff\ud800.png: no picture'
  assert str(errors.UserError(hostile)) == r'a b \x00\x1b[2J\u2028\u202e\xff\ud800.png: no picture'
  assert str(errors.UserError()) == ''


def test_a_long_message_keeps_place_and_remedy():
  text = str(errors.UserError(f'labels.jsonl:3: image {"x" * 100_000} is missing; correct it'))
  assert text.startswith('labels.jsonl:3: image xxx') and text.endswith('xxx is missing; correct it')
  assert ' ... ' in text and len(text) < 1300


def test_other_exceptions_become_one_with_the_place():
  with pytest.raises(errors.UserError, match="^a.npz: not arrays: 'no such key' is missing; fetch it$"), \
      errors.naming('a.npz: not arrays', 'fetch it', KeyError):
    raise KeyError('no such key')


def test_what_tensorflow_adds_is_left_out():
  with pytest.raises(tf.errors.InvalidArgumentError) as caught:
    tf.io.decode_png(b'no picture')
  # Which formats it names depends on the version.
  assert re.fullmatch(r'Unknown image file format\. One of JPEG, [\w ,]+ required\.', errors.brief(caught.value))
