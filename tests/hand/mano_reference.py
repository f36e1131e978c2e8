"""MANO's skinning in plain float64 NumPy, one hand and one joint at a time: slow, and written apart from the layer."""
import numpy as np


def rodrigues(vector):
  """Rotation matrix of one axis-angle vector, by the matrix exponential's series scaled and squared."""
  x, y, z = np.asarray(vector, np.float64) / 1024
  generator = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
  total, power = np.eye(3), np.eye(3)
  for k in range(1, 12):
    power = power @ generator / k
    total = total + power
  for _ in range(10):
    total = total @ total
  return total


def quaternion_matrix(quaternion):
  """Rotation matrix of a quaternion (w, x, y, z): the three basis vectors carried by q v q*."""
  w, *v = np.asarray(quaternion, np.float64) / np.linalg.norm(quaternion)
  v = np.array(v)
  return np.stack([e + 2 * w * np.cross(v, e) + 2 * np.cross(v, np.cross(v, e)) for e in np.eye(3)], axis=1)


def pose_hand(model, pose, shape, camera=None):
  """One hand: pose [45] about the flat hand, shape [10], camera [8] or None -> vertices [V, 3], joints, keypoints."""
  shaped = model.v_template + model.shapedirs @ shape
  rest = model.joint_regressor @ shaped
  local = [np.eye(3)] + [rodrigues(pose[3 * k:3 * k + 3]) for k in range(15)]
  feature = np.concatenate([(turn - np.eye(3)).ravel() for turn in local[1:]])
  vertices = shaped + model.posedirs @ feature
  world = [np.eye(4)]
  for k in range(1, 16):
    step = np.eye(4)
    step[:3, :3] = local[k]
    step[:3, 3] = rest[k] - (rest[model.parents[k]] if model.parents[k] > 0 else 0)
    world.append(world[model.parents[k]] @ step)
  joints = np.array([rest[0]] + [matrix[:3, 3] for matrix in world[1:]])
  posed = np.zeros_like(vertices)
  for k in range(16):
    origin = rest[k] if k else np.zeros(3)
    moved = (vertices - origin) @ world[k][:3, :3].T + world[k][:3, 3]
    posed += model.weights[:, k:k + 1] * moved
  keypoints = np.stack([model.keypoint_regressor[c] @ posed[:, c] for c in range(3)], axis=1)
  if camera is None:
    return posed, joints, keypoints
  turn = quaternion_matrix(camera[:4])
  return tuple(camera[4] * points @ turn.T + camera[5:] for points in (posed, joints, keypoints))
