"""The moments of a hand's keypoints, with which they are posed without any vertex; see `keypoint_layer`."""
import functools

import numpy as np

from dhpe_tf.hand.hand_model import HandModel


class Moments:
  """The constants of a model's moments; P pairs (k, j) of a keypoint and a joint that moves some of its vertices.

  Attributes:
    joints: `[P]` j of each pair.
    sums: `[P, 21]` 1 where the pair belongs to the keypoint.
    masses: `[P]` m_kj.
    base: `[3 P]` a_kj of the rest hand.
    blend: `[10 + 135, 3 P]` their change by shape and pose offsets (`[10, 3 P]` if poses have none).
    joint_steps: `[10, 16, 3]` the change of the rest joints by the shape.
  """

  def __init__(self, model: HandModel):
    regressor = model.keypoint_regressor[0]
    keypoints, self.joints = np.nonzero(np.abs(regressor) @ model.weights)
    shares = regressor[keypoints] * model.weights[:, self.joints].T  # r_ki w_ij, [P, V]
    directions = model.shapedirs
    if np.any(model.posedirs):
      directions = np.concatenate([directions, model.posedirs], axis=2)
    self.masses = shares.sum(1)
    self.base = (shares @ model.v_template).ravel()
    self.blend = np.einsum('pv,vcd->dpc', shares, directions).reshape(directions.shape[2], -1)
    self.sums = np.eye(len(regressor))[keypoints]
    self.joint_steps = np.einsum('jv,vcs->sjc', model.joint_regressor, model.shapedirs)


@functools.lru_cache(maxsize=8)
def moments_of(model: HandModel) -> Moments:
  """The moments of a model whose keypoint regressor is one for x, y and z."""
  return Moments(model)
