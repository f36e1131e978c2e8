"""The status of each picture of a served batch: a bad picture is marked, and the others are answered."""
import tensorflow as tf

from dhpe_tf.data import encoded_pictures
from dhpe_tf.tasks.task import Tensors

# Further to those of `encoded_pictures`.
BAD_BOX, NOT_FINITE, BAD_SIDE, BAD_CAMERA = range(encoded_pictures.DAMAGED + 1, encoded_pictures.DAMAGED + 5)
ABOUT = ('for each picture: 0 answered; 1 no JPEG, PNG or BMP; 2 too many bytes or pixels; 3 damaged or cut off; 4 the '
         'box is not finite, lies outside the picture or is too large; 5 the result would not be finite; 6 the side is '
         'none of those named; 7 the intrinsics are no camera. The results of a picture whose status is not 0 are '
         'zeros. predict_encoded has none: it refuses the whole request instead.')


def marked(status: tf.Tensor, is_bad: tf.Tensor, code: int) -> tf.Tensor:
  """Returns the status, int32, with `code` where it was OK and `is_bad` (bool of the same shape) is true."""
  return tf.where(tf.equal(status, encoded_pictures.OK) & is_bad, code, status)


def only_sound(found: Tensors, status: tf.Tensor) -> Tensors:
  """Results with 'status', zeros for the pictures whose status or results are not sound.

  Args:
    found: results `[B, ..]` float32 by name.
    status: `[B]` int32.

  Returns:
    The results, and 'status' `[B]` int32, NOT_FINITE where a result is not finite.
  """
  def finite(value: tf.Tensor) -> tf.Tensor:
    # With no hand in any picture there is nothing to reshape to rows of unknown size.
    return tf.reduce_all(tf.math.is_finite(value), axis=list(range(1, value.shape.rank)))
  whole = tf.reduce_all(tf.stack([finite(value) for value in found.values()]), axis=0)
  status = marked(status, ~whole, NOT_FINITE)
  sound = tf.equal(status, encoded_pictures.OK)

  def kept(value: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.reshape(sound, [-1] + [1] * (value.shape.rank - 1)), value, 0.)
  return {**{name: kept(value) for name, value in found.items()}, 'status': status}
