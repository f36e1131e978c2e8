"""Linear blend skinning of a hand model: MANO (Romero, Tzionas and Black, "Embodied Hands", 2017) upon SMPL (Loper et
al. 2015).

In the papers' notation, for shape beta [10], pose theta [45] and the K = 15 joints below the wrist:

  B_S = sum_n beta_n S_n                                    shape blend shapes (MANO Eq. 4)       [V, 3]
  B_P = sum_n (R_n(theta) - R_n(0)) P_n, n = 1 .. 9 K       pose blend shapes (MANO Eq. 3)        [V, 3]
  T_P = T + B_S + B_P                                       rest vertices (MANO Eq. 2)            [V, 3]
  J = J_regressor (T + B_S)                                 rest joints (SMPL Eq. 10)             [16, 3]
  G'_k = G'_parent(k) [R_k | J_k - R_k J_k]                 rest to posed joints (SMPL Eq. 4)     [16, 3, 4]
  v_i = sum_k w_ik G'_k (t_i, 1), t_i of T_P                linear blend skinning (SMPL Eq. 7)    [V, 3]
  V = s R(q) v + t                                          camera, as Baek et al. 2019 (Eq. 4)   [V, 3]

MANO's global rotation at the wrist is not among the poses: the camera's R(q) takes its place, about the frame's origin.

The order of the work is chosen for speed: one product for all blend shapes, joints straight from the shape, the
kinematic chain by level (three levels of five joints instead of fifteen joints), one product for all skinning
transforms, and vertices kept as planes of x, y and z until the end, so that every operation runs over long rows.
"""
import functools
import weakref
from typing import Any, Optional

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.geometry import rotations
from dhpe_tf.hand.hand_model import NUM_JOINTS, NUM_POSE, NUM_SHAPE, HandModel, load_hand_model


class _Tables:
  """The model's constants, laid out for the layer; `get` gives them by name.

  blend [10 + 135, 3 V]: S and P of MANO Eqs. 3 and 4, by plane (all x, all y, all z); [10, 3 V] if P is zero.
  template [3 V]: T, by plane.
  joint_dirs [10, 48], joints [48]: J_regressor S and J_regressor T, so that J needs no vertices.
  weights [16, V]: w, transposed.
  keypoints [V, 21], or [3, V, 21] where x, y and z have regressors of their own.
  mean [45], components [45, 45]: of the poses. identity [4, 4].
  """

  def __init__(self, model: HandModel):
    planar = model.shapedirs.transpose(2, 1, 0).reshape(NUM_SHAPE, -1)
    self.has_posedirs = bool(np.any(model.posedirs))
    if self.has_posedirs:
      planar = np.concatenate([planar, model.posedirs.transpose(2, 1, 0).reshape(NUM_POSE * 3, -1)])
    keypoints = model.keypoint_regressor
    self.shared_keypoints = bool(np.all(keypoints == keypoints[:1]))
    self._arrays = {
        'blend': planar,
        'template': model.v_template.T.ravel(),
        'joint_dirs': np.einsum('jv,vcs->sjc', model.joint_regressor, model.shapedirs).reshape(NUM_SHAPE, -1),
        'joints': model.rest_joints.ravel(),
        'weights': model.weights.T,
        'keypoints': keypoints[0].T if self.shared_keypoints else keypoints.transpose(0, 2, 1),
        'mean': model.hands_mean,
        'components': model.hands_components,
        'identity': np.eye(4),
    }
    self._eager: dict = {}
    self._in_graphs = weakref.WeakKeyDictionary()

  def get(self, name: str, dtype: str) -> tf.Tensor:
    """The constant `name` as a tensor of a dtype, made once in eager code and once in each graph."""
    if tf.executing_eagerly():
      made = self._eager
    else:
      # The layer is called in every round of an estimate: a copy each would be megabytes of a SavedModel.
      made = self._in_graphs.setdefault(tf.no_op().graph, {})
    if (name, dtype) not in made:
      made[name, dtype] = tf.constant(self._arrays[name], dtype)
    return made[name, dtype]


@functools.lru_cache(maxsize=8)
def _tables(model: HandModel) -> _Tables:
  """The constants of a model, which all its layers share."""
  return _Tables(model)


@gin.configurable(denylist=['hand_model'])
class ManoLayer(tf.keras.layers.Layer):
  """Pose, shape and camera to vertices, joints and keypoints. Has no trainable weights.

  `layer(pose, shape, camera=None)` with pose [B, 45], axis-angle of joints 1 to 15 (or [B, pca_components]
  coefficients), shape [B, 10], camera [B, 8] = quaternion (w, x, y, z), scale, translation. Returns a dictionary:
  vertices [B, V, 3], joints [B, 16, 3] (the posed skinning joints), keypoints [B, 21, 3] (regressed from the posed
  vertices). Without camera they stand in the model's own frame, metres; with one they are s R(q) x + t.

  Args:
    hand_model: HandModel, or None for the built-in right hand.
    flat_hand_mean: True: pose is about the flat hand. False: about the model's mean pose, which is added.
    pca_components: None, or how many of the model's principal pose directions the pose input gives coefficients of.
    **kwargs: of the Keras layer. dtype is float32 by default whatever the global policy, because 16-bit numbers would
      cost millimetres; float64 is for tests.
  """

  def __init__(self, hand_model: Optional[HandModel] = None, flat_hand_mean: bool = True,
               pca_components: Optional[int] = None, **kwargs: Any):
    super().__init__(**{'dtype': 'float32', 'trainable': False, **kwargs})
    if pca_components is not None and not 1 <= pca_components <= NUM_POSE:
      raise ValueError(f'pca_components must be 1..{NUM_POSE}, not {pca_components}')
    self.hand_model = hand_model or load_hand_model()
    self.flat_hand_mean = flat_hand_mean
    self.pca_components = pca_components
    self._tables = _tables(self.hand_model)

  def get_config(self) -> dict:
    """The constructor's arguments; the hand model is stored as the arguments of `load_hand_model`."""
    model = self.hand_model
    return {**super().get_config(), 'hand_model': {'path': model.path or None, 'side': model.side, **model.options},
            'flat_hand_mean': self.flat_hand_mean, 'pca_components': self.pca_components}

  @classmethod
  def from_config(cls, config: dict) -> 'ManoLayer':
    """Makes the layer of a configuration by `get_config`; reads a user's hand model from its path."""
    return cls(**{**config, 'hand_model': load_hand_model(**config['hand_model'])})

  def call(self, pose: tf.Tensor, shape: tf.Tensor, camera: Optional[tf.Tensor] = None) -> dict:
    """Poses the hand: the equations at the head of this file.

    Args:
      pose: [B, 45] axis-angle, radians, or [B, pca_components] coefficients.
      shape: [B, 10], standard deviations.
      camera: [B, 8] = quaternion (w, x, y, z), scale, translation; or None.

    Returns:
      vertices [B, V, 3], joints [B, 16, 3] and keypoints [B, 21, 3]; metres without a camera, else s R(q) x + t.
    """
    shape = tf.ensure_shape(tf.cast(shape, self.compute_dtype), [None, NUM_SHAPE])
    camera = None if camera is None else tf.cast(camera, self.compute_dtype)
    offsets = rotations.rotation_offsets(tf.reshape(self.full_pose(pose), [-1, 3]))  # R - I, [B * 15, 9]
    rest_joints = self._rest_joints(shape)  # J, [B, 16, 3]
    # One regressor for x, y and z commutes with the camera, which then costs one small product at the wrist.
    camera_first = camera is None or self._tables.shared_keypoints
    transforms = self._chain(offsets, rest_joints, camera if camera_first else None)
    vertices = self._skin(transforms, self._rest_vertices(offsets, shape))  # v, [B, 3, V]
    # The posed joints G'_k (J_k, 1), [B, 16, 3].
    joints = tf.matmul(transforms[..., :3], rest_joints[..., None])[..., 0] + transforms[..., 3]
    outputs = {'vertices': tf.transpose(vertices, [0, 2, 1]), 'joints': joints, 'keypoints': self._keypoints(vertices)}
    return outputs if camera_first else {name: apply_camera(x, camera) for name, x in outputs.items()}

  def full_pose(self, pose: tf.Tensor) -> tf.Tensor:
    """The pose [B, 45] about the flat hand, radians, of an input [B, 45] or [B, pca_components].

    theta = input C[:n] + mean, C the principal directions in rows; each of the two only where the layer has it.
    """
    pose = tf.cast(pose, self.compute_dtype)
    if self.pca_components is not None:
      pose = tf.matmul(pose, self._get('components')[:self.pca_components])
    pose = tf.ensure_shape(pose, [None, NUM_POSE])
    return pose if self.flat_hand_mean else pose + self._get('mean')

  def _get(self, name: str) -> tf.Tensor:
    return self._tables.get(name, self.compute_dtype)

  def _rest_joints(self, shape: tf.Tensor) -> tf.Tensor:
    """Rest joints J = J_regressor (T + B_S), [B, 16, 3] metres, of shapes [B, 10] (SMPL Eq. 10)."""
    return tf.reshape(tf.matmul(shape, self._get('joint_dirs')) + self._get('joints'), [-1, NUM_JOINTS, 3])

  def _rest_vertices(self, offsets: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Rest vertices T_P = T + B_S + B_P, [B, 3, V], of R - I [B * 15, 9] and shapes [B, 10] (MANO Eqs. 2 to 4)."""
    inputs = shape
    if self._tables.has_posedirs:
      inputs = tf.concat([shape, tf.reshape(offsets, [-1, 3 * NUM_POSE])], axis=1)  # (beta, R - I), [B, 10 + 135]
    return tf.reshape(tf.matmul(inputs, self._get('blend')) + self._get('template'),
                      [-1, 3, self.hand_model.num_vertices])

  def _chain(self, offsets: tf.Tensor, rest_joints: tf.Tensor, camera: Optional[tf.Tensor]) -> tf.Tensor:
    """Rest to posed transforms G'_k of the joints, [B, 16, 3, 4].

    A joint turns about its own rest position, x -> R_k x + (I - R_k) J_k, and then moves as its parent does:

      G'_k = G'_parent(k) [R_k | (I - R_k) J_k],    G'_wrist = [s R(q) | t], or the identity without a camera,

    which is SMPL's G_k(theta) G_k(0)^-1. The five fingers' joints of one level stand side by side (skeletons.PARENTS).

    Args:
      offsets: R - I of the 15 joints, [B * 15, 9].
      rest_joints: J, [B, 16, 3].
      camera: [B, 8], or None.
    """
    turns = tf.reshape(offsets, [-1, 15, 3, 3])  # R - I
    shift = tf.matmul(turns, rest_joints[:, 1:, :, None])  # (R - I) J, [B, 15, 3, 1]
    below = [[0, 0], [0, 0], [0, 1], [0, 0]]
    local = tf.pad(tf.concat([turns, -shift], axis=3), below) + self._get('identity')  # [R | (I - R) J], [B, 15, 4, 4]
    first, second, third = tf.unstack(tf.reshape(local, [-1, 5, 3, 4, 4]), axis=2)  # by level, each [B, 5, 4, 4]
    if camera is None:
      root = tf.zeros_like(first[:, :1]) + self._get('identity')
    else:
      root = tf.pad(camera_matrix(camera)[:, None], below) + self._get('identity') * [[0], [0], [0], [1]]
      first = tf.matmul(root, first)
    second = tf.matmul(first, second)
    fingers = tf.stack([first, second, tf.matmul(second, third)], axis=2)
    return tf.concat([root, tf.reshape(fingers, [-1, 15, 4, 4])], axis=1)[:, :, :3]

  def _skin(self, transforms: tf.Tensor, rest: tf.Tensor) -> tf.Tensor:
    """Posed vertices v_i = (sum_k w_ik G'_k) (t_i, 1), [B, 3, V], of transforms [B, 16, 3, 4] and rest [B, 3, V]."""
    columns = tf.reshape(tf.transpose(transforms, [3, 0, 2, 1]), [-1, NUM_JOINTS])  # [4 * B * 3, 16]
    # Each vertex' own transform, by column: [4, B, 3, V].
    blended = tf.reshape(tf.matmul(columns, self._get('weights')), [4, -1, 3, self.hand_model.num_vertices])
    *turned, shift = tf.unstack(blended)
    return tf.add_n([a * x for a, x in zip(turned, tf.split(rest, 3, axis=1))] + [shift])

  def _keypoints(self, vertices: tf.Tensor) -> tf.Tensor:
    """Keypoints [B, 21, 3], weighted means of the posed vertices [B, 3, V] (paper: the skeleton regressor Reg)."""
    if self._tables.shared_keypoints:
      flat = tf.matmul(tf.reshape(vertices, [-1, self.hand_model.num_vertices]), self._get('keypoints'))
      return tf.transpose(tf.reshape(flat, [-1, 3, 21]), [0, 2, 1])
    return tf.transpose(tf.matmul(tf.transpose(vertices, [1, 0, 2]), self._get('keypoints')), [1, 2, 0])


def camera_matrix(camera: tf.Tensor) -> tf.Tensor:
  """The matrix [s R(q) | t] [B, 3, 4] of a camera [B, 8] = (quaternion w, x, y, z; scale s; translation t)."""
  rotation = rotations.quaternion_to_matrix(camera[:, :4]) * camera[:, 4, None, None]
  return tf.concat([rotation, camera[:, 5:, None]], axis=2)


def apply_camera(points: tf.Tensor, camera: tf.Tensor) -> tf.Tensor:
  """Points s R(q) x + t [B, N, 3] of points x [B, N, 3] and camera [B, 8] (Baek et al. 2019, Eq. 4)."""
  matrix = camera_matrix(camera)
  return tf.matmul(points, matrix[..., :3], transpose_b=True) + matrix[:, None, :, 3]
