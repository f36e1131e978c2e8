"""A small InterHand2.6M in the exact format on disk."""
import json
import os

import numpy as np
from scipy.spatial import transform

from tests.data_tools.readers import hands

SIZE = (512, 334)
# Of each hand the tips come first, the wrist last: where each of our keypoints stands.
PLACES = [20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16]
# What the pictures of a split show; of the last one the left wrist, and so the left hand, is not valid.
SHOWN = ('right', 'left', 'interacting', 'interacting')
LOST_WRIST = 3
# Of the right hand of picture 0 this keypoint of ours is not valid.
LOST_KEYPOINT = 7
CAMERA = '400026'


def intrinsics() -> np.ndarray:
  """Pixel centres at whole numbers."""
  return np.array([[1261.5, 0., 155.8], [0., 1261.7, 258.8], [0., 0., 1.]])


def write(root, splits=('train', 'val', 'test')) -> dict:
  """Writes annotations/ and images/; returns (split, number) -> {side: Hand} in the axes of the camera."""
  truth = {}
  for split in splits:
    data, joints = {'images': [], 'annotations': []}, {}
    rotation = transform.Rotation.from_rotvec([.2, -.5, .1]).as_matrix()
    position_mm = np.array([-415.2, 132.2, 59.6])
    for number, shown in enumerate(SHOWN):
      pair = {side: hands.make(side, 10 * number, (.07 if side == 'left' else -.05, 0., 1.1))
              for side in (('right', 'left') if shown == 'interacting' else (shown,))}
      truth[split, number] = pair
      file = f'Capture0/0{number}_scene/cam{CAMERA}/image{number}.jpg'
      image = os.path.join(root, 'images', split, file)
      os.makedirs(os.path.dirname(image))
      shift = np.array([[0, 0, .5], [0, 0, .5], [0, 0, 0]])
      hands.draw(list(pair.values()), intrinsics() + shift, SIZE, number).save(image, quality=95)
      world, valid = _labels(pair, rotation, position_mm, number)
      # Numbers of pictures are neither in order nor those of the annotations.
      data['images'].insert(0, {'id': 900 - number, 'file_name': file, 'width': SIZE[1], 'height': SIZE[0],
                                'capture': 0, 'subject': number % 2, 'seq_name': f'0{number}_scene', 'camera': CAMERA,
                                'frame_idx': 100 + number})
      data['annotations'].append({'id': number, 'image_id': 900 - number, 'bbox': [10., 10., 200., 200.],
                                  'joint_valid': valid[:, None].tolist(), 'hand_type': shown, 'hand_type_valid': 1})
      joints[str(100 + number)] = {'world_coord': world.tolist(), 'joint_valid': valid[:, None].tolist(),
                                   'hand_type': shown, 'hand_type_valid': True}
    camera = {'campos': {CAMERA: position_mm.tolist()}, 'camrot': {CAMERA: rotation.tolist()},
              'focal': {CAMERA: [1261.5, 1261.7]}, 'princpt': {CAMERA: [155.8, 258.8]}}
    folder = os.path.join(root, 'annotations', split)
    os.makedirs(folder)
    for name, content in (('data', data), ('camera', {'0': camera}), ('joint_3d', {'0': joints})):
      with open(os.path.join(folder, f'InterHand2.6M_{split}_{name}.json'), 'w', encoding='utf-8') as file:
        json.dump(content, file)
  return truth


def _labels(pair: dict, rotation: np.ndarray, position_mm: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
  """World coordinates `[42, 3]` (millimetres) and which are valid `[42]`: x_camera = R (x_world - position)."""
  world, valid = np.ones([42, 3]), np.zeros(42, int)
  for side, hand in pair.items():
    places = np.array(PLACES) + (0 if side == 'right' else 21)
    world[places] = (hand.keypoints_m * 1000) @ rotation + position_mm
    valid[places] = 1
  if number == 0:
    valid[PLACES[LOST_KEYPOINT]] = 0
  if number == LOST_WRIST:
    valid[41] = 0
  return world, valid
