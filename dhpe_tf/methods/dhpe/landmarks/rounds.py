"""The rounds of the estimator on landmark evidence: Eq. 5, x(t) = x(t-1) + f_E3D(evidence, x(t-1)), in the hand's axes.

In each round the same network sees what the hand x(t-1) gets wrong and how it stands, and answers with a change:

  sees    the joints in metres: of the evidence, and its difference from the hand's            2 x 63
          the difference of 2D joints and depths, in metres at the hand's scale                    63
          the spread of the 2D joints; angles and shape; the line of sight; the closeness          61
  answers angles 26, shape 10, turn 3, logarithm of the scale 1, step 3, closeness 1

All vectors are in the axes of the hand, R^T v, so a turned or moved picture changes nothing but the hand's place. The
turn multiplies the rotation from the right; the step moves the place by the x and y of s R step.
"""
import gin
import tensorflow as tf

from dhpe_tf.geometry import rotations
from dhpe_tf.hand import hand_space, skeletons
from dhpe_tf.methods.dhpe.landmarks import evidence as evidences
from dhpe_tf.methods.dhpe.landmarks import hand_state
from dhpe_tf.networks import at_rest

_CHANGES = (hand_space.NUM_ANGLES, hand_space.SIZE - hand_space.NUM_ANGLES - 6, 3, 1, 3, 1)
# Radians, standard deviations, radians, logarithm, metres, closeness: the size of a change of 1.
_UNITS = (0.3, 1.0, 0.3, 0.1, 0.02, 0.05)
_METRES = 20.0  # scales metres to numbers about 1


@gin.configurable(module='landmarks', denylist=['state', 'name'])
class Rounds(tf.keras.layers.Layer):
  """Packed evidence [B, 21, 7] -> the states x [B, 43] after 0, 1, .. rounds, and their base rotations [B, 4]."""

  def __init__(self, state: hand_state.HandState, count: int = 3, units: int = 512, layers: int = 2,
               name: str = 'rounds'):
    """Builds the network.

    Args:
      state: of the hands.
      count: number of rounds; the paper has 3.
      units: of each hidden layer.
      layers: number of hidden layers.
      name: of the layer.
    """
    super().__init__(dtype='float32', name=name)
    self._state, self._count = state, count
    # The last layer starts at zero: an untrained estimator answers with the closed-form start.
    self._network = tf.keras.Sequential(
        [tf.keras.layers.Dense(units, tf.nn.silu, name=f'hidden{number}') for number in range(1, layers + 1)]
        + [tf.keras.layers.Dense(sum(_CHANGES), kernel_initializer='zeros', name='change')], name='regressor')

  def rest_in_float16(self) -> None:
    """Lets the weights rest in float16; the layer learns no more then."""
    self._network = at_rest.copy(self._network)

  def call(self, packed: tf.Tensor) -> dict[str, list[tf.Tensor]]:
    """Estimates the hands.

    Args:
      packed: evidence [B, 21, 7].

    Returns:
      'states' [B, 43] and 'bases' [B, 4], lists from the start to the last round.
    """
    evidence = evidences.unpack(packed)
    x, base = self._state.start(evidence)
    states, bases = [x], [base]
    for _ in range(self._count):
      x, base = self._changed(x, base, evidence)
      states.append(x)
      bases.append(base)
    return {'states': states, 'bases': bases}

  def _changed(self, x: tf.Tensor, base: tf.Tensor, evidence: evidences.Evidence) -> tuple[tf.Tensor, tf.Tensor]:
    """One round: the next x, with no turn beside its base, and the next base."""
    matrix, scale = rotations.quaternion_to_matrix(base), self._state.scale(x)[:, None]
    seen = self._seen(x, matrix, self._state.joints(x, base), evidence)
    parts = tf.split(self._network(seen), _CHANGES, axis=1)
    angles, shape, turn, growth, step, closer = (part * unit for part, unit in zip(parts, _UNITS))
    moved = tf.linalg.matvec(matrix, step)[:, :2] * scale
    base = rotations.quaternion_multiply(base, rotations.axis_angle_to_quaternion(turn))
    return x + tf.concat([angles, shape, tf.zeros_like(turn), growth, moved, closer], axis=1), base

  def _seen(self, x: tf.Tensor, matrix: tf.Tensor, joints: hand_state.Joints,
            evidence: evidences.Evidence) -> tf.Tensor:
    """The network's inputs [B, 250]."""
    depth = joints.crop[..., 2:] - joints.crop[:, skeletons.WRIST, None, 2:]
    in_picture = tf.concat([evidence.joints_2d - joints.joints_2d, evidence.depth[..., None] - depth], axis=-1)
    vectors = [evidence.world_m, evidence.world_m - joints.metres, in_picture / self._state.scale(x)[:, None, None]]
    # v R is R^T v for each row v.
    turned = [tf.reshape(_METRES * tf.matmul(part, matrix), [-1, 3 * skeletons.NUM_KEYPOINTS]) for part in vectors]
    return tf.concat([*turned, 10. * evidence.spread, x[:, :hand_space.SCALE - 3], matrix[:, 2],
                      5. * x[:, hand_space.SIZE:]], axis=1)
