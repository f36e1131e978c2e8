"""Keypoint 0: records may label the centre of the palm there, models and batches have the wrist.

Zimmermann and Brox 2017 and Baek et al. 2019 count the palm, and STB labels no wrist at all. RHD's palm is the middle
of wrist and middle MCP; read the other way round that gives the wrist of any record set, by the same rule for all. What
is scored on the palm (`protocols`) takes it from wrist and middle MCP again, and so meets the label exactly.
"""
import json
import os

import tensorflow as tf

from dhpe_tf.data import tfrecords
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons


def of_record_set(root: str) -> str:
  """What keypoint 0 is in a record set: 'palm' if the option first_keypoint of its dataset.json says so, else 'wrist'.

  Raises:
    UserError: dataset.json is there but damaged.
  """
  path = os.path.join(root, tfrecords.DATASET_FILE)
  if not os.path.exists(path):
    return 'wrist'
  try:
    with open(path, encoding='utf-8') as file:
      options = json.load(file).get('options', {})
  except (OSError, ValueError, AttributeError) as error:
    raise UserError(f'{path} is damaged ({error}); convert the data again') from error
  return 'palm' if options.get('first_keypoint') == 'palm' else 'wrist'


def palm_to_wrist(record: dict) -> dict:
  """Replaces the palm of a parsed record by the wrist that lies beyond it, seen from the middle MCP.

  Where the camera is known the wrist's 2D label is its projection, or else it lies beyond the palm in the picture too.

  Args:
    record: tensors by field name, see `record.FIELDS`.

  Returns:
    The record with the wrist as keypoint 0, labelled where both palm and middle MCP are.
  """
  root = skeletons.ROOT
  result = dict(record)
  for name in ('hand/joints_3d_m', 'hand/joints_2d_px'):
    joints = record[name]
    result[name] = tf.concat([skeletons.wrist_of(joints[:1], joints[root:root + 1]), joints[1:]], axis=0)
  for name in ('hand/joints_3d_valid', 'hand/joints_2d_valid'):
    valid = record[name]
    result[name] = tf.concat([valid[:1] * valid[root:root + 1], valid[1:]], axis=0)
  seen = tf.linalg.matvec(record['camera/intrinsics'], result['hand/joints_3d_m'][0])
  known = (seen[2] > 0) & (result['hand/joints_3d_valid'][0] > 0)
  projected = tf.math.divide_no_nan(seen[:2], seen[2])
  wrist_px = tf.where(known, projected, result['hand/joints_2d_px'][0])
  result['hand/joints_2d_px'] = tf.concat([wrist_px[None], result['hand/joints_2d_px'][1:]], axis=0)
  return result
