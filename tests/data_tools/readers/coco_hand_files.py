"""Small OneHand10K (as MMPose has it) and COCO-WholeBody label files in the exact format on disk."""
import json
import os

import numpy as np

from tests.data_tools.readers import hands

SIZE = (240, 320)
INTRINSICS = np.array([[420., 0., 160.], [0., 420., 120.], [0., 0., 1.]])
FINGERS = ('thumb', 'forefinger', 'middle_finger', 'ring_finger', 'pinky_finger')
NAMES = ['wrist'] + [f'{finger}{k}' for finger in FINGERS for k in (1, 2, 3, 4)]
# No label of these two keypoints of a picture.
UNLABELLED = (3, 17)
# In COCO-WholeBody these are labelled, but hidden.
HIDDEN = (5, 6)


def pixels(hand: hands.Hand) -> np.ndarray:
  """Keypoints `[21, 2]`, pixel centres at +0.5."""
  return hands.project(hand.keypoints_m, INTRINSICS)


def write_onehand10k(root, count: int = 2, names=NAMES) -> list:
  """Writes annotations/onehand10k_{train,test}.json and {Train,Test}/source; returns the right hands of Train."""
  truth = []
  os.makedirs(os.path.join(root, 'annotations'))
  for split, folder in (('train', 'Train'), ('test', 'Test')):
    content = {'images': [], 'annotations': [], 'categories': [
        {'supercategory': 'hand', 'id': 1, 'name': 'hand', 'keypoints': list(names), 'skeleton': [[1, 2]]}]}
    os.makedirs(os.path.join(root, folder, 'source'))
    for i in range(count):
      hand = hands.make('right', seed=i, center_m=(0., 0., .5))
      truth += [hand] if split == 'train' else []
      file = f'{folder}/source/{i}.jpg'
      hands.draw([hand], INTRINSICS, SIZE, i).save(os.path.join(root, file), quality=95)
      marks = np.concatenate([pixels(hand) - .5, np.ones([21, 1])], 1)
      marks[list(UNLABELLED)] = 0
      box = _box(pixels(hand))
      order = [NAMES.index(name) for name in names]
      content['images'].append({'file_name': file, 'height': SIZE[0], 'width': SIZE[1], 'id': 9 - i})
      content['annotations'].append({'id': 100 + i, 'image_id': 9 - i, 'bbox': box, 'category_id': 1, 'iscrowd': 0,
                                     'keypoints': marks[order].ravel().tolist(), 'area': box[2] * box[3],
                                     'segmentation': [_outline(box)]})
    _write(os.path.join(root, 'annotations', f'onehand10k_{split}.json'), content)
  return truth


def write_wholebody(root) -> dict:
  """Writes coco_wholebody_val_v1.0.json and val2017; returns side -> Hand. A second person has only a left hand."""
  pair = {side: hands.make(side, 4, (.06 if side == 'left' else -.06, 0., .5)) for side in ('left', 'right')}
  os.makedirs(os.path.join(root, 'val2017'))
  hands.draw(list(pair.values()), INTRINSICS, SIZE).save(os.path.join(root, 'val2017', '000000000785.jpg'), quality=95)
  annotations = []
  for number, sides in enumerate((('left', 'right'), ('left',))):
    person = {'id': number, 'image_id': 785, 'keypoints': [0] * 51, 'bbox': [0, 0, 320, 240], 'category_id': 1}
    for side in ('left', 'right'):
      marks = np.concatenate([pixels(pair[side]) - .5, np.full([21, 1], 2.)], 1)
      marks[list(HIDDEN), 2] = 1
      marks[list(UNLABELLED)] = 0
      there = side in sides
      person.update({f'{side}hand_kpts': (marks * there).ravel().tolist(), f'{side}hand_valid': there,
                     f'{side}hand_box': _box(pixels(pair[side])) if there else [0., 0., 0., 0.]})
    annotations.append(person)
  image = {'file_name': '000000000785.jpg', 'height': SIZE[0], 'width': SIZE[1], 'id': 785}
  _write(os.path.join(root, 'coco_wholebody_val_v1.0.json'), {
      'images': [image], 'annotations': annotations,
      'categories': [{'id': 1, 'name': 'person', 'keypoints': ['nose', 'left_eye']}]})
  return pair


def _box(points: np.ndarray) -> list:
  return [*points.min(0).tolist(), *np.ptp(points, 0).tolist()]


def _outline(box: list) -> list:
  x, y, width, height = box
  return [x, y, x, y + height, x + width, y + height, x + width, y]


def _write(path: str, content: dict) -> None:
  with open(path, 'w', encoding='utf-8') as file:
    json.dump(content, file)
