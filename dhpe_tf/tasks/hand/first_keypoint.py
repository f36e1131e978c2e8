"""Keypoint 0: records may label the centre of the palm, models and batches use the wrist.

Zimmermann and Brox 2017 and Baek et al. 2019 evaluate the palm, and STB labels no wrist. RHD's palm is defined by

  palm = (wrist + middle MCP) / 2,    so    wrist = 2 palm - middle MCP,

and the second form gives the wrist of every record set, by one rule. Measures on the palm (`protocols`) apply the first
form again and so recover the label exactly.
"""
import os

import tensorflow as tf

from dhpe_tf import json_files
from dhpe_tf.data import tfrecords
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons


def of_record_set(root: str) -> str:
  """Returns 'palm' if the option first_keypoint in a record set's dataset.json says so, else 'wrist'.

  Raises:
    UserError: dataset.json exists but is damaged.
  """
  path = os.path.join(root, tfrecords.DATASET_FILE)
  if not os.path.exists(path):
    return 'wrist'
  options = json_files.read_object(path, 'convert the data again').get('options') or {}
  if not isinstance(options, dict):
    raise UserError(f'{path}: options must be a JSON object; convert the data again')
  return 'palm' if options.get('first_keypoint') == 'palm' else 'wrist'


def palm_to_wrist(record: dict) -> dict:
  """Replaces the palm in a parsed record by the wrist, 2 palm - middle MCP.

  With a camera the wrist's 2D label is the projection of its 3D label; without one the rule is applied to the 2D
  labels.

  Args:
    record: tensors by field name, see `record.FIELDS`.

  Returns:
    The record with the wrist as keypoint 0, labelled if both palm and middle MCP are.
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
