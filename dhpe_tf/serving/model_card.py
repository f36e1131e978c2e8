"""The document that travels with an exported model: all that its users must know, for people and programs."""
import platform
from typing import Any

import tensorflow as tf

import dhpe_tf
from dhpe_tf.hand import skeletons
from dhpe_tf.hand.hand_model import HandModel
from dhpe_tf.serving import results

CONVENTIONS = {
    'images': 'RGB in 0..1, a square crop around one right hand, its side about 1.5 times the longer side of the tight '
              'box around the 21 keypoints; mirror the crop of a left hand left to right.',
    'crop_space': '[-1, 1] in x (right) and y (down) over the crop; z (forward) of the same scale.',
    'pixels': '(x, y), origin at the top-left corner of the picture, pixel centres at +0.5.',
    'boxes': '(left, top, width, height) in pixels; the crop is the square with the same centre and the longer side; '
             'width or height 0 means the whole picture.',
    'is_left': 'true for a left hand in an unmirrored picture; the crop is then mirrored on the way in and results are '
               'mirrored back; reverse the corners of each face of its mesh.',
    'encoded': 'JPEG, PNG, BMP or GIF; an EXIF orientation is not applied.',
    'metres': 'camera axes (x right, y down, z forward), relative to the root keypoint; the size is that of the hand '
              'model with the shape found.',
    'pose': '45 numbers: axis-angle in radians of 15 joints about the flat hand, in the order of pose_joint_order.',
}


def describe(hand_model: HandModel, name: str, config: str = '') -> dict[str, Any]:
  """Describes an exported model.

  Args:
    hand_model: the hand inside it.
    name: of the model.
    config: the configuration it was trained with, gin text.

  Returns:
    What json can write; the exporter adds version, date and signatures.
  """
  return {
      'name': name,
      'task': '21 keypoints and a mesh of one hand from one RGB picture',
      'conventions': CONVENTIONS,
      'outputs': {'predict_encoded': results.DOCUMENTED},
      'joint_order': list(skeletons.KEYPOINT_NAMES),
      'pose_joint_order': list(skeletons.MANO_JOINT_NAMES[1:]),
      'root': skeletons.ROOT_NAME,
      'hand_model': {'name': hand_model.name, 'version': hand_model.description.get('version', 'unknown'),
                     'fingerprint': hand_model.fingerprint,
                     'licence': hand_model.description.get('licence', 'that of its file'),
                     'vertices': len(hand_model.v_template), 'faces': hand_model.faces.tolist()},
      'versions': {'dhpe_tf': dhpe_tf.__version__, 'tensorflow': tf.__version__, 'python': platform.python_version()},
      'config': config,
  }
