"""The hand task in a SavedModel: encoded pictures, boxes and sides in; results in pixels of the pictures out."""
from collections.abc import Callable, Mapping
from typing import Any, Optional

import tensorflow as tf

from dhpe_tf.finding import finder
from dhpe_tf.geometry import crops
from dhpe_tf.hand import skeletons
from dhpe_tf.hand.hand_model import HandModel
from dhpe_tf.tasks.hand import results, view
from dhpe_tf.tasks.task import Signature, Tensors

CONVENTIONS = {
    'images': 'RGB in 0..1, a square crop around one right hand, its side about 1.5 times the longer side of the tight '
              'box around the 21 keypoints; mirror the crop of a left hand left to right. For a model of upright hands '
              '(see usage) the crop is that of find_hands: fingers up, the hand in its middle half.',
    'crop_space': '[-1, 1] in x (right) and y (down) over the crop; z (forward) of the same scale.',
    'pixels': '(x, y), origin at the top-left corner of the picture, pixel centres at +0.5.',
    'boxes': '(left, top, width, height) in pixels; the crop is the square with the same centre and the longer side; '
             'for a model of upright hands (see usage) it is cut around the hand in the box. Width or height 0 means '
             'the whole picture.',
    'is_left': 'true for a left hand in an unmirrored picture; the crop is then mirrored on the way in and results are '
               'mirrored back; reverse the corners of each face of its mesh.',
    'encoded': 'JPEG, PNG, BMP or GIF; an EXIF orientation is not applied.',
    'metres': 'camera axes (x right, y down, z forward), relative to the root keypoint; the size is that of the hand '
              'model with the shape found.',
    'pose': '45 numbers: axis-angle in radians of 15 joints about the flat hand, in the order of pose_joint_order.',
}


def describe(hand_model: HandModel) -> dict[str, Any]:
  """Returns conventions, outputs, joint orders and the hand model, for the model card; see `Task.describe`."""
  return {
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
  }


def encoded_signature(answer: Callable[[Tensors], Tensors], specs: Mapping[str, tf.TensorSpec],
                      hand_finder: Optional[finder.HandFinder] = None) -> Optional[Signature]:
  """Builds the signature `predict_encoded` for methods whose only input is the picture; see `Task.encoded_signature`.

  Args:
    answer: crops of right hands `[B, S, S, 3]` as 'image' -> served outputs.
    specs: specifications of the method's inputs.
    hand_finder: finds the hand in the box, for methods that see hands turned to point up; None cuts out the box.

  Returns:
    The signature (images `[B]` string, boxes `[B, 4]` px, is_left `[B]` bool), or None for other methods.
  """
  if set(specs) != {'image'}:
    return None
  size = specs['image'].shape[1]

  def cut(given: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, ...]:
    """Decodes one picture and cuts the crop of its hand; returns the crop, its centre, side and turn, and the box."""
    encoded, box, left = given
    picture = view.decode(encoded, 3)
    box = view.box_or_whole(box, tf.shape(picture)[:2])
    crop, turn = crops.crop_from_box(box), tf.constant(0.)
    if hand_finder is not None:
      hands = hand_finder.at(picture, box).sided(left)
      crop, turn = crops.Crop(hands.crop.center_px[0], hands.crop.side_px[0]), hands.rotation[0]
    return view.cut(picture, crop, left, size, turn), crop.center_px, crop.side_px, turn, box

  def predict_encoded(images: tf.Tensor, boxes: tf.Tensor, is_left: tf.Tensor) -> Tensors:
    right_hands, center_px, side_px, turn, boxes = tf.map_fn(
        cut, (images, boxes, is_left),
        fn_output_signature=tuple(tf.TensorSpec(shape) for shape in ([size, size, 3], [2], [], [], [4])))
    outputs = answer({'image': right_hands})
    return {**results.in_picture(outputs, crops.Crop(center_px, side_px), is_left, turn), 'boxes': boxes}

  return Signature(predict_encoded, {'images': tf.TensorSpec([None], tf.string),
                                     'boxes': tf.TensorSpec([None, 4], tf.float32),
                                     'is_left': tf.TensorSpec([None], tf.bool)}, ('images', 'boxes', 'is_left'))
