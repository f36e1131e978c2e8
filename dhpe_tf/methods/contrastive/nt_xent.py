"""The contrastive loss of SimCLR and PeCLR: the other view of a picture shall be nearer than all other views."""
import tensorflow as tf

_LEAST_LENGTH = 1e-6
_OUT = -1e9  # similarity of a view with itself, which never counts


def normalised(points: tf.Tensor) -> tf.Tensor:
  """Codes `[N, K, 2]` as vectors of length 1; a code of zeros stays zero."""
  flat = tf.reshape(points, [tf.shape(points)[0], -1])
  return tf.math.divide_no_nan(flat, tf.maximum(tf.norm(flat, axis=-1, keepdims=True), _LEAST_LENGTH))


def similarities(codes: tf.Tensor) -> tf.Tensor:
  """Cosines `[N, N]` of vectors `[N, D]` of length 1 with each other; -1e9 with themselves."""
  return tf.linalg.set_diag(tf.matmul(codes, codes, transpose_b=True), tf.fill([tf.shape(codes)[0]], _OUT))


def partners(count: tf.Tensor) -> tf.Tensor:
  """Numbers `[N]` of the other views, if rows 2i and 2i + 1 are the views of a picture; N is even."""
  return tf.bitwise.bitwise_xor(tf.range(count), 1)


def nt_xent(codes: tf.Tensor, temperature: float) -> tf.Tensor:
  """The normalised, temperature-scaled cross-entropy of each view.

    L_i = -log( exp(z_i . z_p / T) / sum_{k != i} exp(z_i . z_k / T) ),    p the other view of i's picture.

  PeCLR (Spurr et al., ICCV 2021) and SimCLR (Chen et al., ICML 2020).

  Args:
    codes: `[2N, D]` of length 1; rows 2i and 2i + 1 are the two views of a picture.
    temperature: T, above 0.

  Returns:
    `[2N]`.
  """
  other = partners(tf.shape(codes)[0])
  return tf.nn.sparse_softmax_cross_entropy_with_logits(other, similarities(codes) / temperature)


def found(codes: tf.Tensor) -> tf.Tensor:
  """`[2N]`: 1 where the nearest of all other views is that of the same picture, else 0."""
  nearest = tf.argmax(similarities(codes), axis=-1, output_type=tf.int32)
  return tf.cast(tf.equal(nearest, partners(tf.shape(codes)[0])), tf.float32)
