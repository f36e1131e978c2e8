"""Hands as glTF 2.0: a skinned mesh with its skeleton, posed or animated, in one binary file (.glb).

Any viewer or engine that reads glTF can bend the fingers further: the file holds the rest mesh, the joints as a tree of
nodes, and the skinning weights. glTF has no pose-dependent shapes; those of the first pose are baked into the rest
mesh, so the first pose is exact and later ones are approximate.
"""
import json
import struct
from typing import Any, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.files import atomic_path
from dhpe_tf.geometry import meshes, rotations
from dhpe_tf.hand import skeletons
from dhpe_tf.hand.hand_model import NUM_FEATURES, NUM_POSE, NUM_SHAPE, HandModel
from dhpe_tf.hand.parameters import upright
from dhpe_tf.visualization.mesh_files import PathLike

_FLOAT, _UBYTE, _USHORT, _UINT = 5126, 5121, 5123, 5125
_TYPES = {'f4': _FLOAT, 'u1': _UBYTE, 'u2': _USHORT, 'u4': _UINT}
_SHAPES = {(): 'SCALAR', (3,): 'VEC3', (4,): 'VEC4', (4, 4): 'MAT4'}
_SKIN_COLOR = (0.8, 0.6, 0.5, 1.0)


def write_gltf(path: PathLike, hand_model: HandModel, poses: Optional[np.ndarray] = None,
               shape: Optional[np.ndarray] = None, camera: Optional[np.ndarray] = None,
               colors: Optional[np.ndarray] = None, fps: float = 30.0, times_s: Optional[np.ndarray] = None) -> None:
  """Writes a hand with skin and joints as a binary glTF file.

  Each vertex keeps its four strongest influences, the number that every viewer supports.

  Args:
    path: the file, .glb.
    hand_model: the hand.
    poses: [45] or [T, 45] axis-angle about the flat hand, radians. The first is shown; several make an animation. None
      for the flat hand.
    shape: [10]; None for the mean shape.
    camera: [8] = quaternion (w, x, y, z), scale, translation, as ManoLayer takes it, in camera axes. A half turn about
      x leads to glTF's axes (y up, z toward the viewer). [T, 8], one for each pose, moves the hand. None for upright,
      at the origin, in metres.
    colors: [V, 3] red, green, blue of each vertex, 0..1, or None.
    fps: poses a second of the animation.
    times_s: [T] times of the poses, seconds, ascending, instead of `fps`.

  Raises:
    UserError: the file cannot be written.
  """
  poses = np.zeros([1, NUM_POSE]) if poses is None else np.atleast_2d(poses)
  shape = np.zeros(NUM_SHAPE) if shape is None else np.asarray(shape)
  camera = np.array([*upright(hand_model.side), 1, 0, 0, 0]) if camera is None else np.asarray(camera, np.float64)
  places = _places(np.atleast_2d(camera))
  turns = rotations.axis_angle_to_quaternion(poses.reshape(len(poses), 15, 3).astype(np.float64)).numpy()
  vertices, joints = _rest(hand_model, poses[0], shape)
  buffer = _Buffer()
  skin = {'joints': list(range(1, 17)), 'skeleton': 1, 'inverseBindMatrices': buffer.add(_inverse_bind(joints))}
  document = {
      'asset': {'version': '2.0', 'generator': 'dhpe_tf'}, 'scene': 0, 'scenes': [{'nodes': [0, 17]}],
      'nodes': _nodes(hand_model, joints, turns[0], places), 'meshes': [_mesh(buffer, hand_model, vertices, colors)],
      'materials': [{'name': 'skin', 'pbrMetallicRoughness': {
          'baseColorFactor': _SKIN_COLOR if colors is None else (1, 1, 1, 1), 'metallicFactor': 0,
          'roughnessFactor': 0.7}}],
      'skins': [skin]}
  if len(poses) > 1:
    times_s = np.arange(len(poses)) / fps if times_s is None else times_s
    document['animations'] = [_animation(buffer, turns, places, times_s)]
  _write(path, document, buffer)


class _Buffer:
  """The binary part of the file: arrays one after another, each with its buffer view and accessor."""

  def __init__(self):
    self.views: list[dict] = []
    self.accessors: list[dict] = []
    self.data = b''

  def add(self, array: np.ndarray, bounds: bool = False) -> int:
    """Appends an array and returns the number of its accessor.

    Args:
      array: [N], [N, 3], [N, 4] or [N, 4, 4].
      bounds: whether the accessor states the least and greatest values.
    """
    array = np.ascontiguousarray(array)
    accessor = {'bufferView': len(self.views), 'componentType': _TYPES[array.dtype.str[1:]], 'count': len(array),
                'type': _SHAPES[array.shape[1:]]}
    if bounds:
      flat = array.reshape(len(array), -1)
      accessor.update(min=flat.min(0).tolist(), max=flat.max(0).tolist())
    self.views.append({'buffer': 0, 'byteOffset': len(self.data), 'byteLength': array.nbytes})
    self.accessors.append(accessor)
    # Views begin at multiples of four bytes, the size of the largest component type.
    self.data += array.tobytes() + b'\0' * (-array.nbytes % 4)
    return len(self.accessors) - 1


def _rest(model: HandModel, pose: np.ndarray, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns rest vertices [V, 3], with shape and the pose's correctives, and rest joints [16, 3], in metres."""
  # Vertices T_mean + B_S(shape) + B_P(pose) and joints J (T_mean + B_S(shape)), as MANO defines them.
  shaped = model.v_template + model.shapedirs @ shape
  features = rotations.rotation_offsets(tf.constant(pose.reshape(15, 3), tf.float64)).numpy().reshape(NUM_FEATURES)
  return shaped + model.posedirs @ features, model.joint_regressor @ shaped


class _Places(NamedTuple):
  """Where a hand stands in glTF's axes: rotations [T, 4] (w, x, y, z), scales [T], translations [T, 3]."""

  rotations: np.ndarray
  scales: np.ndarray
  translations: np.ndarray


def _places(cameras: np.ndarray) -> _Places:
  """The places that cameras [T, 8] give, see `write_gltf`."""
  half_turn = np.tile([0.0, 1, 0, 0], [len(cameras), 1])
  units = cameras[:, :4] / np.linalg.norm(cameras[:, :4], axis=1, keepdims=True)
  return _Places(rotations.quaternion_multiply(half_turn, units).numpy(), cameras[:, 4], cameras[:, 5:] * [1, -1, -1])


def _nodes(model: HandModel, joints: np.ndarray, turns: np.ndarray, places: _Places) -> list[dict]:
  """Returns the nodes: 0 carries the camera, 1 to 16 are the joints, 17 is the mesh.

  Args:
    model: the hand.
    joints: [16, 3] rest joints, metres.
    turns: [15, 4] quaternions (w, x, y, z) of the finger joints.
    places: of the hand; the first counts.
  """
  nodes = [{'name': f'{model.side} hand', 'children': [1], 'rotation': _xyzw(places.rotations[0]),
            'scale': [float(places.scales[0])] * 3, 'translation': places.translations[0].tolist()}]
  for k, name in enumerate(skeletons.MANO_JOINT_NAMES):
    parent = model.parents[k]
    node = {'name': name, 'translation': (joints[k] - (joints[parent] if k else 0)).tolist()}
    children = [1 + j for j in range(16) if model.parents[j] == k]
    if children:
      node['children'] = children
    if k:
      node['rotation'] = _xyzw(turns[k - 1])
    nodes.append(node)
  return nodes + [{'name': 'skin', 'mesh': 0, 'skin': 0}]


def _xyzw(quaternion: np.ndarray) -> list:
  """Reorders a quaternion (w, x, y, z) to glTF's (x, y, z, w)."""
  return [float(x) for x in quaternion[[1, 2, 3, 0]]]


def _mesh(buffer: _Buffer, model: HandModel, vertices: np.ndarray, colors: Optional[np.ndarray]) -> dict:
  """Returns the mesh with positions, normals, joints, weights and, if given, colors of its vertices."""
  strongest = np.argsort(-model.weights, axis=1)[:, :4]
  weights = np.take_along_axis(model.weights, strongest, axis=1).astype(np.float32)
  weights /= weights.sum(1, keepdims=True)
  # glTF requires joint 0 where the weight is 0.
  strongest[weights == 0] = 0
  normals = meshes.vertex_normals(vertices[None], model.closed_faces)[0].numpy()
  attributes = {'POSITION': buffer.add(vertices.astype('<f4'), bounds=True),
                'NORMAL': buffer.add(normals.astype('<f4')), 'JOINTS_0': buffer.add(strongest.astype('u1')),
                'WEIGHTS_0': buffer.add(weights.astype('<f4'))}
  if colors is not None:
    attributes['COLOR_0'] = buffer.add(np.asarray(colors).clip(0, 1).astype('<f4'))
  indices = buffer.add(model.closed_faces.ravel().astype('<u2' if len(vertices) < 65535 else '<u4'))
  return {'name': model.name, 'primitives': [{'attributes': attributes, 'indices': indices, 'material': 0}]}


def _inverse_bind(joints: np.ndarray) -> np.ndarray:
  """Matrices [16, 4, 4] that move each rest joint to the origin; stored by columns, as glTF requires."""
  matrices = np.tile(np.eye(4), [16, 1, 1])
  matrices[:, 3, :3] = -joints
  return matrices.astype('<f4')


def _animation(buffer: _Buffer, turns: np.ndarray, places: _Places, times_s: np.ndarray) -> dict:
  """Returns an animation with a rotation channel for each finger joint and, if it moves, three for the hand.

  Args:
    buffer: receives times and values.
    turns: [T, 15, 4] quaternions (w, x, y, z).
    places: of the hand, T or one.
    times_s: [T], seconds.
  """
  values = [(2 + k, 'rotation', _continuous(turns[:, k])) for k in range(15)]
  if len(places.scales) > 1:
    values += [(0, 'rotation', _continuous(places.rotations)), (0, 'translation', places.translations),
               (0, 'scale', np.repeat(places.scales[:, None], 3, axis=1))]
  times = buffer.add(np.asarray(times_s).astype('<f4'), bounds=True)
  samplers = [{'input': times, 'output': buffer.add(value.astype('<f4'))} for _, _, value in values]
  channels = [{'sampler': k, 'target': {'node': node, 'path': path}} for k, (node, path, _) in enumerate(values)]
  return {'name': 'poses', 'samplers': samplers, 'channels': channels}


def _continuous(quaternions: np.ndarray) -> np.ndarray:
  """Quaternions [T, 4] (w, x, y, z) as glTF's (x, y, z, w), each the nearer of q and -q to the one before.

  Both are the same rotation; the nearer one keeps the interpolation short.
  """
  flips = np.where(np.sum(quaternions[1:] * quaternions[:-1], axis=-1) < 0, -1, 1)
  return np.concatenate([quaternions[:1], quaternions[1:] * np.cumprod(flips)[:, None]])[:, [1, 2, 3, 0]]


def _write(path: PathLike, document: dict[str, Any], buffer: _Buffer) -> None:
  """Writes header, JSON chunk and binary chunk of the .glb file."""
  document.update(buffers=[{'byteLength': len(buffer.data)}], bufferViews=buffer.views, accessors=buffer.accessors)
  text = json.dumps(document, separators=(',', ':')).encode()
  text += b' ' * (-len(text) % 4)
  chunks = b''.join(struct.pack('<I4s', len(data), kind) + data
                    for kind, data in ((b'JSON', text), (b'BIN\0', buffer.data)))
  with atomic_path(path) as temporary, open(temporary, 'wb') as file:
    file.write(struct.pack('<4sII', b'glTF', 2, 12 + len(chunks)) + chunks)
