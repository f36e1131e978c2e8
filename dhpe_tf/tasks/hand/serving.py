"""The hand task in a SavedModel: encoded pictures, boxes and sides in; results in pixels of the pictures out."""
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Optional

import tensorflow as tf

from dhpe_tf.data import encoded_pictures
from dhpe_tf.finding import finder
from dhpe_tf.geometry import crops
from dhpe_tf.hand import skeletons
from dhpe_tf.hand.hand_model import HandModel
from dhpe_tf.tasks.hand import results, served_hands, status, view
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
    'encoded': f'{encoded_pictures.FORMATS}, within limits of bytes and pixels; an EXIF orientation is not applied.',
    'status': status.ABOUT,
    'metres': 'camera axes (x right, y down, z forward), relative to the root keypoint; the size is that of the hand '
              'model with the shape found.',
    'pose': '45 numbers: axis-angle in radians of 15 joints about the flat hand, in the order of pose_joint_order.',
}


def describe(hand_model: HandModel) -> dict[str, Any]:
  """Returns conventions, outputs, joint orders and the hand model, for the model card; see `Task.describe`."""
  return {
      'task': '21 keypoints and a mesh of one hand from one RGB picture',
      'conventions': CONVENTIONS,
      'outputs': {'predict_encoded': results.DOCUMENTED, 'predict_encoded_status': results.DOCUMENTED,
                  served_hands.NAME: served_hands.DOCUMENTED},
      'joint_order': list(skeletons.KEYPOINT_NAMES),
      'pose_joint_order': list(skeletons.MANO_JOINT_NAMES[1:]),
      'root': skeletons.ROOT_NAME,
      'hand_model': {'name': hand_model.name, 'version': hand_model.description.get('version', 'unknown'),
                     'fingerprint': hand_model.fingerprint,
                     'licence': hand_model.description.get('licence', 'that of its file'),
                     'vertices': len(hand_model.v_template), 'faces': hand_model.faces.tolist()},
  }


class _Cuts(NamedTuple):
  """What was cut out of B pictures.

  Attributes:
    right_hands: `[B, S, S, 3]` crops.
    center_px, side_px: `[B, 2]` and `[B]`, of the crops.
    turn: `[B]` radians.
    boxes: `[B, 4]` px.
    status: `[B]` int32, see `CONVENTIONS`.
  """

  right_hands: tf.Tensor
  center_px: tf.Tensor
  side_px: tf.Tensor
  turn: tf.Tensor
  boxes: tf.Tensor
  status: tf.Tensor


def encoded_signatures(answer: Callable[[Tensors], Tensors], specs: Mapping[str, tf.TensorSpec],
                       hand_finder: Optional[finder.HandFinder] = None) -> dict[str, Signature]:
  """Builds `predict_encoded` and `predict_encoded_status`; see `Task.encoded_signatures`.

  Both take images `[B]` string, boxes `[B, 4]` px and is_left `[B]` bool. A bad picture or box fails the request of the
  first; the second marks it in the output 'status' `[B]` int32.

  Args:
    answer: crops of right hands `[B, S, S, 3]` as 'image' -> served outputs.
    specs: specifications of the method's inputs.
    hand_finder: finds the hand in the box, for methods that see hands turned to point up, and all hands for
      `predict_hands`; None cuts out the box.

  Returns:
    The signatures by name; none for methods that take something else than the picture.
  """
  if set(specs) != {'image'}:
    return {}
  size = specs['image'].shape[1]
  parts = _Cuts(*(tf.TensorSpec(shape) for shape in ([size, size, 3], [2], [], [], [4])), tf.TensorSpec([], tf.int32))

  def predict(taken: Callable, images: tf.Tensor, boxes: tf.Tensor, is_left: tf.Tensor) -> tuple[Tensors, tf.Tensor]:
    """The results for pictures that `taken` decodes, and their status."""
    def cut(given: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> _Cuts:
      picture, box, judged = taken(*given[:2])
      return _Cuts(*_cut(picture, box, given[2], size, hand_finder), judged)
    # One after the other: a picture of the largest size takes up to 2 GB while it is cut.
    cuts = tf.map_fn(cut, (images, boxes, is_left), parallel_iterations=1, fn_output_signature=parts)
    found = results.in_picture(answer({'image': cuts.right_hands}), crops.Crop(cuts.center_px, cuts.side_px), is_left,
                               cuts.turn)
    return {**found, 'boxes': cuts.boxes}, cuts.status

  def predict_encoded(**inputs: tf.Tensor) -> Tensors:
    return predict(_decoded, **inputs)[0]

  def predict_encoded_status(**inputs: tf.Tensor) -> Tensors:
    return status.only_sound(*predict(_decoded_if_sound, **inputs))

  taken = {'images': tf.TensorSpec([None], tf.string), 'boxes': tf.TensorSpec([None, 4], tf.float32),
           'is_left': tf.TensorSpec([None], tf.bool)}
  about_inputs = {'images': CONVENTIONS['encoded'], **{name: CONVENTIONS[name] for name in ('boxes', 'is_left')}}
  about_outputs = {**results.DOCUMENTED, 'boxes': 'left, top, width, height in pixels, as asked for or of the whole '
                   'picture', 'status': CONVENTIONS['status']}
  described = {'rows': tuple(taken), 'about_inputs': about_inputs, 'about_outputs': about_outputs,
               'examples': served_hands.EXAMPLE}
  found = {'predict_encoded': Signature(predict_encoded, taken, **described),
           'predict_encoded_status': Signature(predict_encoded_status, taken, **described, may_be_infinite=('boxes',))}
  if hand_finder is not None:
    found[served_hands.NAME] = served_hands.signature(answer, size, hand_finder, upright=True)
  return found


def _cut(picture: tf.Tensor, box: tf.Tensor, left: tf.Tensor, size: int,
         hand_finder: Optional[finder.HandFinder]) -> tuple[tf.Tensor, ...]:
  """Cuts the crop of the hand in a box out of a picture; returns the crop, its centre, side and turn, and the box."""
  box = view.box_or_whole(box, tf.shape(picture)[:2])
  crop, turn = crops.crop_from_box(box), tf.constant(0.)
  if hand_finder is not None:
    hands = hand_finder.at(picture, box).sided(left)
    crop, turn = crops.Crop(hands.crop.center_px[0], hands.crop.side_px[0]), hands.rotation[0]
  return view.cut(picture, crop, left, size, turn), crop.center_px, crop.side_px, turn, box


def _decoded(encoded: tf.Tensor, box: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  """Decodes a picture and returns it, the box and the status; fails for a bad picture or box."""
  picture = encoded_pictures.decode(encoded)
  fits = view.box_fits(box, tf.shape(picture)[:2])
  message = (f'boxes: a box must share a pixel with its picture and be at most {view.MOST_OUTSIDE} times as large; '
             'left, top, width, height are')
  with tf.control_dependencies([tf.debugging.Assert(fits, [message, box], summarize=4)]):
    return picture, tf.identity(box), tf.constant(encoded_pictures.OK)


def _decoded_if_sound(encoded: tf.Tensor, box: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  """Does the same and never fails; in the place of a bad box there is the whole picture."""
  picture, judged = encoded_pictures.decode_if_sound(encoded)
  fits = view.box_fits(box, tf.shape(picture)[:2])
  judged = status.marked(judged, ~fits, status.BAD_BOX)
  return picture, tf.where(tf.equal(judged, encoded_pictures.OK), box, tf.zeros([4])), judged
