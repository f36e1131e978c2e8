import dataclasses
import json
import struct

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dhpe_tf.hand import skeletons
from dhpe_tf.hand.gestures import gesture_pose
from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.hand.mano_layer import ManoLayer
from dhpe_tf.visualization.gltf import write_gltf
from tests.hand.model_fixture import mano_like_model, random_inputs

TYPES = {5126: np.float32, 5121: np.uint8, 5123: np.uint16, 5125: np.uint32}
SIZES = {'SCALAR': 1, 'VEC3': 3, 'VEC4': 4, 'MAT4': 16}


def read(path):
  """The JSON part of a .glb and its accessors as arrays."""
  data = path.read_bytes()
  magic, version, length = struct.unpack_from('<4sII', data)
  assert (magic, version, length) == (b'glTF', 2, len(data))
  size, kind = struct.unpack_from('<I4s', data, 12)
  assert kind == b'JSON' and size % 4 == 0
  document = json.loads(data[20:20 + size])
  binary = data[28 + size:]
  assert struct.unpack_from('<I4s', data, 20 + size) == (len(binary), b'BIN\0')
  arrays = []
  for accessor in document['accessors']:
    view = document['bufferViews'][accessor['bufferView']]
    count = accessor['count'] * SIZES[accessor['type']]
    arrays.append(np.frombuffer(binary, TYPES[accessor['componentType']], count, view['byteOffset']).reshape(
        accessor['count'], -1))
  return document, arrays


def _skin(document, arrays, turns=None):
  """The vertices that a viewer shows: glTF's skinning, written from its specification."""
  nodes = document['nodes']
  globals_ = {}

  def visit(index, parent):
    node, local = nodes[index], np.eye(4)
    turn = node.get('rotation', [0, 0, 0, 1]) if turns is None or index not in turns else turns[index]
    local[:3, :3] = Rotation.from_quat(turn).as_matrix() * node.get('scale', [1, 1, 1])
    local[:3, 3] = node.get('translation', [0, 0, 0])
    globals_[index] = parent @ local
    for child in node.get('children', []):
      visit(child, globals_[index])

  for index in document['scenes'][0]['nodes']:
    visit(index, np.eye(4))
  skin = document['skins'][0]
  bind = arrays[skin['inverseBindMatrices']].reshape(-1, 4, 4).transpose(0, 2, 1)
  matrices = np.stack([globals_[joint] @ bind[k] for k, joint in enumerate(skin['joints'])])
  attributes = document['meshes'][0]['primitives'][0]['attributes']
  position, joints, weights = (arrays[attributes[name]] for name in ('POSITION', 'JOINTS_0', 'WEIGHTS_0'))
  mixed = np.einsum('vk,vkij->vij', weights, matrices[joints])
  return np.einsum('vij,vj->vi', mixed, np.concatenate([position, np.ones([len(position), 1])], axis=1))[:, :3]


@pytest.mark.parametrize('side', ['right', 'left'])
def test_a_viewer_shows_what_the_layer_computes(tmp_path, side):
  model = mano_like_model(side)
  pose, shape, camera = random_inputs(1)
  write_gltf(tmp_path / 'hand.glb', model, pose[0], shape[0], camera[0])
  expected = ManoLayer(model, dtype='float64')(pose, shape, camera)['vertices'][0].numpy() * [1, -1, -1]
  error = np.linalg.norm(_skin(*read(tmp_path / 'hand.glb')) - expected, axis=1) / camera[0, 4]
  assert np.median(error) < 1e-6
  assert error.max() < 2e-3, 'vertices with a fifth influence lose it'


def test_another_program_opens_it(tmp_path):
  trimesh = pytest.importorskip('trimesh')
  model = load_hand_model()
  write_gltf(tmp_path / 'hand.glb', model)
  scene = trimesh.load(tmp_path / 'hand.glb', process=False)
  mesh = next(iter(scene.geometry.values()))
  np.testing.assert_allclose(mesh.vertices, model.v_template, atol=1e-6)
  np.testing.assert_array_equal(mesh.faces, model.closed_faces)
  assert mesh.is_watertight and mesh.volume > 0
  assert set(skeletons.MANO_JOINT_NAMES) <= set(scene.graph.nodes)
  turned, _ = scene.graph.get('right hand')
  for k, name in enumerate(skeletons.MANO_JOINT_NAMES):
    matrix, _ = scene.graph.get(name)
    np.testing.assert_allclose(matrix[:3, 3], turned[:3, :3] @ model.rest_joints[k], atol=1e-6)


@pytest.mark.parametrize('side', ['right', 'left'])
def test_upright_by_default(tmp_path, side):
  model = load_hand_model(side=side)
  write_gltf(tmp_path / 'hand.glb', model)
  shown = model.keypoints(_skin(*read(tmp_path / 'hand.glb')))
  assert shown[12, 1] > 0.15, 'the middle finger points up'


def test_animation_plays_the_poses(tmp_path):
  model = dataclasses.replace(load_hand_model(), posedirs=np.zeros([778, 3, 135]))
  poses = np.stack([gesture_pose('flat'), gesture_pose('victory'), gesture_pose('fist')])
  write_gltf(tmp_path / 'hand.glb', model, poses, fps=10)
  document, arrays = read(tmp_path / 'hand.glb')
  animation = document['animations'][0]
  np.testing.assert_allclose(arrays[animation['samplers'][0]['input']][:, 0], [0, 0.1, 0.2], atol=1e-7)
  camera = np.array([[0.5, -0.5, -0.5, 0.5, 1, 0, 0, 0]] * 3)
  expected = ManoLayer(model, dtype='float64')(poses, np.zeros([3, 10]), camera)['vertices'].numpy() * [1, -1, -1]
  for t in range(3):
    turns = {channel['target']['node']: arrays[animation['samplers'][channel['sampler']]['output']][t]
             for channel in animation['channels']}
    error = np.linalg.norm(_skin(document, arrays, turns) - expected[t], axis=1)
    assert np.median(error) < 1e-6 and error.max() < 2e-3


def test_a_moving_hand(tmp_path):
  model = mano_like_model('right')
  poses, shape, cameras = (values[:4] for values in random_inputs(4))
  poses = np.repeat(poses[:1], 4, axis=0)
  times_s = [0., 0.1, 0.3, 0.4]
  write_gltf(tmp_path / 'hand.glb', model, poses, shape[0], cameras, times_s=times_s)
  document, arrays = read(tmp_path / 'hand.glb')
  animation = document['animations'][0]
  for frame in range(4):
    for channel in animation['channels']:
      sampler = animation['samplers'][channel['sampler']]
      np.testing.assert_allclose(arrays[sampler['input']][:, 0], times_s, atol=1e-6)
      target = channel['target']
      document['nodes'][target['node']][target['path']] = arrays[sampler['output']][frame].tolist()
    expected = ManoLayer(model, dtype='float64')(poses[:1], shape[:1], cameras[frame:frame + 1])['vertices'][0]
    error = np.linalg.norm(_skin(document, arrays) - expected * [1, -1, -1], axis=1) / cameras[frame, 4]
    assert np.median(error) < 1e-5 and error.max() < 2e-3


def test_layout_follows_the_format(tmp_path):
  colors = np.random.default_rng(0).uniform(size=[778, 3])
  write_gltf(tmp_path / 'hand.glb', load_hand_model(), gesture_pose('fist'), colors=colors)
  document, arrays = read(tmp_path / 'hand.glb')
  assert all(view['byteOffset'] % 4 == 0 for view in document['bufferViews'])
  attributes = document['meshes'][0]['primitives'][0]['attributes']
  position = document['accessors'][attributes['POSITION']]
  np.testing.assert_allclose(position['max'], arrays[attributes['POSITION']].max(0))
  np.testing.assert_allclose(arrays[attributes['WEIGHTS_0']].sum(1), 1, atol=1e-6)
  np.testing.assert_allclose(np.linalg.norm(arrays[attributes['NORMAL']], axis=1), 1, atol=1e-5)
  np.testing.assert_allclose(arrays[attributes['COLOR_0']], colors, atol=1e-6)
