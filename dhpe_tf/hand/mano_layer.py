"""Linear blend skinning of a hand model, as MANO defines it (Romero, Tzionas and Black, "Embodied Hands", 2017).

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
  """The model's constants, laid out for the layer."""

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
    """One constant in a dtype, made once in eager code and once in each graph."""
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
    """Arguments; the hand model goes by its path (None if built-in) and side."""
    model = self.hand_model
    return {**super().get_config(), 'hand_model': {'path': model.path or None, 'side': model.side},
            'flat_hand_mean': self.flat_hand_mean, 'pca_components': self.pca_components}

  @classmethod
  def from_config(cls, config: dict) -> 'ManoLayer':
    """Makes the layer again; reads a user's hand model from its path."""
    return cls(**{**config, 'hand_model': load_hand_model(**config['hand_model'])})

  def call(self, pose: tf.Tensor, shape: tf.Tensor, camera: Optional[tf.Tensor] = None) -> dict:
    """See the class."""
    shape = tf.ensure_shape(tf.cast(shape, self.compute_dtype), [None, NUM_SHAPE])
    camera = None if camera is None else tf.cast(camera, self.compute_dtype)
    offsets = rotations.rotation_offsets(tf.reshape(self.full_pose(pose), [-1, 3]))
    rest_joints = self._rest_joints(shape)
    # One regressor for x, y and z commutes with the camera, which then costs one small product at the wrist.
    camera_first = camera is None or self._tables.shared_keypoints
    transforms = self._chain(offsets, rest_joints, camera if camera_first else None)
    vertices = self._skin(transforms, self._rest_vertices(offsets, shape))
    joints = tf.matmul(transforms[..., :3], rest_joints[..., None])[..., 0] + transforms[..., 3]
    outputs = {'vertices': tf.transpose(vertices, [0, 2, 1]), 'joints': joints, 'keypoints': self._keypoints(vertices)}
    return outputs if camera_first else {name: apply_camera(x, camera) for name, x in outputs.items()}

  def full_pose(self, pose: tf.Tensor) -> tf.Tensor:
    """The pose [B, 45] about the flat hand that an input of this layer stands for."""
    pose = tf.cast(pose, self.compute_dtype)
    if self.pca_components is not None:
      pose = tf.matmul(pose, self._get('components')[:self.pca_components])
    pose = tf.ensure_shape(pose, [None, NUM_POSE])
    return pose if self.flat_hand_mean else pose + self._get('mean')

  def _get(self, name: str) -> tf.Tensor:
    return self._tables.get(name, self.compute_dtype)

  def _rest_joints(self, shape: tf.Tensor) -> tf.Tensor:
    """[B, 16, 3]."""
    return tf.reshape(tf.matmul(shape, self._get('joint_dirs')) + self._get('joints'), [-1, NUM_JOINTS, 3])

  def _rest_vertices(self, offsets: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Rest vertices with the blend shapes, [B, 3, V]."""
    inputs = shape
    if self._tables.has_posedirs:
      inputs = tf.concat([shape, tf.reshape(offsets, [-1, 3 * NUM_POSE])], axis=1)
    return tf.reshape(tf.matmul(inputs, self._get('blend')) + self._get('template'),
                      [-1, 3, self.hand_model.num_vertices])

  def _chain(self, offsets: tf.Tensor, rest_joints: tf.Tensor, camera: Optional[tf.Tensor]) -> tf.Tensor:
    """Rest to posed transforms of the joints, [B, 16, 3, 4].

    A joint turns about its own rest position J: x -> R x + (I - R) J, and then moves as its parent does. The five
    fingers' joints of one level stand side by side (skeletons.PARENTS).
    """
    turns = tf.reshape(offsets, [-1, 15, 3, 3])
    shift = tf.matmul(turns, rest_joints[:, 1:, :, None])
    below = [[0, 0], [0, 0], [0, 1], [0, 0]]
    local = tf.pad(tf.concat([turns, -shift], axis=3), below) + self._get('identity')
    first, second, third = tf.unstack(tf.reshape(local, [-1, 5, 3, 4, 4]), axis=2)
    if camera is None:
      root = tf.zeros_like(first[:, :1]) + self._get('identity')
    else:
      root = tf.pad(camera_matrix(camera)[:, None], below) + self._get('identity') * [[0], [0], [0], [1]]
      first = tf.matmul(root, first)
    second = tf.matmul(first, second)
    fingers = tf.stack([first, second, tf.matmul(second, third)], axis=2)
    return tf.concat([root, tf.reshape(fingers, [-1, 15, 4, 4])], axis=1)[:, :, :3]

  def _skin(self, transforms: tf.Tensor, rest: tf.Tensor) -> tf.Tensor:
    """Posed vertices [B, 3, V] of rest vertices [B, 3, V]."""
    columns = tf.reshape(tf.transpose(transforms, [3, 0, 2, 1]), [-1, NUM_JOINTS])
    blended = tf.reshape(tf.matmul(columns, self._get('weights')), [4, -1, 3, self.hand_model.num_vertices])
    *turned, shift = tf.unstack(blended)
    return tf.add_n([a * x for a, x in zip(turned, tf.split(rest, 3, axis=1))] + [shift])

  def _keypoints(self, vertices: tf.Tensor) -> tf.Tensor:
    """[B, 21, 3] from posed vertices [B, 3, V]."""
    if self._tables.shared_keypoints:
      flat = tf.matmul(tf.reshape(vertices, [-1, self.hand_model.num_vertices]), self._get('keypoints'))
      return tf.transpose(tf.reshape(flat, [-1, 3, 21]), [0, 2, 1])
    return tf.transpose(tf.matmul(tf.transpose(vertices, [1, 0, 2]), self._get('keypoints')), [1, 2, 0])


def camera_matrix(camera: tf.Tensor) -> tf.Tensor:
  """[B, 3, 4] = (s R(q) | t) of camera [B, 8] = (quaternion w, x, y, z; scale; translation)."""
  rotation = rotations.quaternion_to_matrix(camera[:, :4]) * camera[:, 4, None, None]
  return tf.concat([rotation, camera[:, 5:, None]], axis=2)


def apply_camera(points: tf.Tensor, camera: tf.Tensor) -> tf.Tensor:
  """The camera's s R(q) x + t for points [B, N, 3] and camera [B, 8]."""
  matrix = camera_matrix(camera)
  return tf.matmul(points, matrix[..., :3], transpose_b=True) + matrix[:, None, :, 3]
