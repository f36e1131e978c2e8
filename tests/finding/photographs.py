"""Photographs of hands with landmarks, where the environment variable HAND_PHOTOGRAPHS names their labels (JSON lines).

Each line has `image` (a file beside the labels), `hand` (left or right) and `joints_2d_px` [21][2].
"""
import json
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf

LABELS = os.environ.get('HAND_PHOTOGRAPHS', '')
needed = pytest.mark.skipif(not pathlib.Path(LABELS).is_file(), reason='HAND_PHOTOGRAPHS names no file of labels')


def labels() -> list[dict]:
  """All labels, with `joints_2d_px` as arrays."""
  lines = map(json.loads, pathlib.Path(LABELS).read_text(encoding='utf-8').splitlines())
  return [{**line, 'joints_2d_px': np.array(line['joints_2d_px'], np.float32)} for line in lines]


def read(label: dict) -> np.ndarray:
  """The photograph of a label, uint8 [H, W, 3]."""
  encoded = tf.io.read_file(str(pathlib.Path(LABELS).parent / label['image']))
  return tf.io.decode_image(encoded, 3, expand_animations=False).numpy()
