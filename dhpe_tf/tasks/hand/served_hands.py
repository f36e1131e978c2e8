"""All hands of encoded pictures in a SavedModel: the signature `predict_hands`.

Pictures show different numbers of hands. So the results of a batch are padded with zeros to the largest number, and
`count` tells how many rows of a picture count.
"""
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from dhpe_tf.data import encoded_pictures, image_files
from dhpe_tf.finding import finder
from dhpe_tf.geometry import cameras, crops
from dhpe_tf.tasks.hand import results, status, view
from dhpe_tf.tasks.task import Signature, Tensors

NAME = 'predict_hands'
AS_FOUND, LEFT, RIGHT = range(3)  # of the input `sides`

# A picture for requests that warm up a server.
EXAMPLE = {'images': image_files.encode(np.full([64, 64, 3], 127, np.uint8), 'PNG')}
_INPUTS = {
    'images': f'{encoded_pictures.FORMATS}, within limits of bytes and pixels; an EXIF orientation is not applied',
    'boxes': 'left, top, width, height in pixels of the box around one hand; with width or height 0 all hands of the '
             'picture are found',
    'sides': f'{AS_FOUND}: as found; {LEFT}: all hands of the picture are left ones; {RIGHT}: right ones',
    'intrinsics': 'fx, fy, cx, cy in pixels; zeros where the camera is not known',
}
_PLACED = {
    'joints_3d_camera_m': '[B, N, 21, 3] keypoints in camera axes, metres, for a hand of the size found; zeros without '
                          'intrinsics',
    'vertices_camera_m': '[B, N, V, 3] mesh, likewise',
}
# Results, for documents that travel with a model; N is the largest number of hands in a picture of the batch.
DOCUMENTED = {
    **{name: text.replace('[B', '[B, N', 1) for name, text in results.DOCUMENTED.items()}, **_PLACED,
    'count': '[B] number of hands in each picture, best first; further rows are zeros',
    'is_left': '[B, N] whether it is a left hand in an unmirrored picture',
    'boxes': '[B, N, 4] left, top, width, height in pixels of the square that was looked at, before it was turned',
    'turn': '[B, N] radians by which the content of that square was turned',
    'status': status.ABOUT,
}


class _Seen(NamedTuple):
  """The N hands of one picture, or of all pictures one after the other.

  Attributes:
    right_hands: `[N, S, S, 3]` crops.
    center_px, side_px: `[N, 2]` and `[N]`, of the crops.
    turn: `[N]` radians.
    is_left: `[N]` bool.
  """

  right_hands: tf.Tensor
  center_px: tf.Tensor
  side_px: tf.Tensor
  turn: tf.Tensor
  is_left: tf.Tensor


def signature(answer: Callable[[Tensors], Tensors], size: int, hand_finder: finder.HandFinder,
              upright: bool) -> Signature:
  """Builds `predict_hands`: encoded pictures, boxes, sides and intrinsics -> `DOCUMENTED`.

  It takes images `[B]` string, boxes `[B, 4]` float32, sides `[B]` int32 and intrinsics `[B, 4]` float32. A bad picture
  is marked in 'status' and fails nothing.

  Args:
    answer: crops of right hands `[N, S, S, 3]`, as 'image' -> served outputs.
    size: side S of the crops, px.
    hand_finder: finds the hands.
    upright: whether the crops are those of the finder, turned so that hands point up; otherwise they are the squares
      around the landmarks.
  """
  def see(picture: tf.Tensor, box: tf.Tensor, side: tf.Tensor) -> _Seen:
    hands = _found(hand_finder, picture, box, side)
    return _cut(picture, hands if upright else hands.around_landmarks(), size)

  def predict_hands(images: tf.Tensor, boxes: tf.Tensor, sides: tf.Tensor, intrinsics: tf.Tensor) -> Tensors:
    judged, rows = _look(see, size, images, boxes, sides, intrinsics)
    seen = _Seen(*(ragged.flat_values for ragged in rows))
    hands = _hands(answer, seen, tf.gather(intrinsics, rows.turn.value_rowids()))
    count = tf.cast(rows.turn.row_lengths(), tf.int32)
    # Of each place [B, N] the number of its hand; one more than there are hands where there is none.
    numbers = rows.turn.with_values(tf.range(tf.size(seen.turn))).to_tensor(tf.size(seen.turn))

    def padded(value: tf.Tensor) -> tf.Tensor:
      return tf.gather(tf.concat([value, tf.zeros([1, *value.shape[1:]], value.dtype)], axis=0), numbers)
    found = status.only_sound({name: padded(value) for name, value in hands.items()}, judged)
    sound = tf.equal(found['status'], encoded_pictures.OK)
    return {**found, 'is_left': padded(seen.is_left) & sound[:, None], 'count': tf.where(sound, count, 0)}

  taken = {'images': tf.TensorSpec([None], tf.string), 'boxes': tf.TensorSpec([None, 4], tf.float32),
           'sides': tf.TensorSpec([None], tf.int32), 'intrinsics': tf.TensorSpec([None, 4], tf.float32)}
  return Signature(predict_hands, taken, tuple(taken), about_inputs=_INPUTS, about_outputs=DOCUMENTED,
                   examples=EXAMPLE, may_be_infinite=('boxes', 'intrinsics'))


def _look(see: Callable[..., _Seen], size: int, *given: tf.Tensor) -> tuple[tf.Tensor, _Seen]:
  """The status `[B]` of pictures and their hands, ragged tensors `[B, (N), ..]`.

  Args:
    see: a picture, its box and side -> its hands.
    size: side of the crops, px.
    *given: what `predict_hands` takes.
  """
  def look(one: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, _Seen]:
    encoded, box, side, camera = one
    picture, judged = encoded_pictures.decode_if_sound(encoded)
    judged = status.marked(judged, ~view.box_fits(box, tf.shape(picture)[:2]), status.BAD_BOX)
    judged = status.marked(judged, (side < AS_FOUND) | (side > RIGHT), status.BAD_SIDE)
    judged = status.marked(judged, ~_is_camera(camera), status.BAD_CAMERA)
    sound = tf.equal(judged, encoded_pictures.OK)
    return judged, tf.cond(sound, lambda: see(picture, box, side), lambda: _nothing(size))

  rows = _Seen(*(tf.RaggedTensorSpec([None, *value.shape[1:]], value.dtype, ragged_rank=0)
                 for value in _nothing(size)))
  # One after the other: a picture of the largest size takes up to 2 GB while it is cut.
  return tf.map_fn(look, given, parallel_iterations=1, fn_output_signature=(tf.TensorSpec([], tf.int32), rows))


def _found(hand_finder: finder.HandFinder, picture: tf.Tensor, box: tf.Tensor, side: tf.Tensor) -> finder.Hands:
  """The hands of a sound picture, all or the one in the box."""
  has_box = tf.reduce_all(box[2:] > 0.)
  hands = tf.cond(has_box, lambda: hand_finder.at(picture, box), lambda: hand_finder.find(picture)[0])
  return tf.cond(tf.equal(side, AS_FOUND), lambda: hands, lambda: hands.sided(tf.equal(side, LEFT)))


def _cut(picture: tf.Tensor, hands: finder.Hands, size: int) -> _Seen:
  """The hands with their crops."""
  images = view.cut_each(picture, hands.crop, hands.is_left, hands.rotation, size)
  return _Seen(images, *hands.crop, hands.rotation, hands.is_left)


def _nothing(size: int) -> _Seen:
  """No hand."""
  return _Seen(tf.zeros([0, size, size, 3]), tf.zeros([0, 2]), tf.zeros([0]), tf.zeros([0]), tf.zeros([0], tf.bool))


def _hands(answer: Callable[[Tensors], Tensors], seen: _Seen, intrinsics: tf.Tensor) -> Tensors:
  """The results for hands one after the other, N may be 0; `intrinsics` [N, 4]."""
  count = tf.size(seen.turn)
  # Convolutions refuse a batch of none, so then there is one black crop, whose answer is dropped.
  images = tf.pad(seen.right_hands, [[0, tf.where(count > 0, 0, 1)], [0, 0], [0, 0], [0, 0]])
  outputs = {name: value[:count] for name, value in answer({'image': images}).items()}
  crop = crops.Crop(seen.center_px, seen.side_px)
  found = results.in_picture(outputs, crop, seen.is_left, seen.turn)
  square = tf.concat([seen.center_px - seen.side_px[:, None] / 2, tf.tile(seen.side_px[:, None], [1, 2])], axis=1)
  return {**found, **_placed(found, crop, intrinsics), 'boxes': square, 'turn': seen.turn}


def _placed(found: Tensors, crop: crops.Crop, intrinsics: tf.Tensor) -> Tensors:
  """Joints and mesh before the camera, zeros where it is not known; `intrinsics` [N, 4]."""
  known = tf.reduce_any(intrinsics > 0., axis=1)
  usable = tf.where(known[:, None], intrinsics, [1., 1., 0., 0.])
  placed = results.place(found, crop, cameras.make_intrinsics(usable[:, :2], usable[:, 2:]))
  names = {'joints_3d_camera_m': 'joints_3d_m', 'vertices_camera_m': 'vertices_m'}
  return {name: tf.where(known[:, None, None], placed[given], 0.) for name, given in names.items() if given in found}


def _is_camera(intrinsics: tf.Tensor) -> tf.Tensor:
  """Whether numbers `[4]` are a camera's, or all zero."""
  sound = tf.reduce_all(tf.math.is_finite(intrinsics)) & tf.reduce_all(intrinsics[:2] > 0.)
  return sound | tf.reduce_all(tf.equal(intrinsics, 0.))
