"""A small HO-3D in the exact format on disk."""
import json
import os
import pickle

import numpy as np

from tests.data_tools.readers import hands

SIZE = (480, 640)
INTRINSICS = np.array([[614.627, 0., 320.262], [0., 614.101, 238.469], [0., 0., 1.]])
SHIFT = np.array([[0, 0, .5], [0, 0, .5], [0, 0, 0]])
# Where each keypoint from the wrist over thumb, index, ... to the little finger's tip stands in handJoints3D.
PLACES = [0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20]
UNLABELLED = ('MC1', '0002')


def published(hand: hands.Hand) -> np.ndarray:
  """Keypoints `[21, 3]` in the order and axes of the dataset."""
  joints = np.zeros([21, 3])
  joints[PLACES] = hand.keypoints_m * [1, -1, -1]
  return joints


def write(root, version: int = 3, frames: int = 3, keypoints: bool = True) -> dict:
  """Writes HO3D_v2 or HO3D_v3 below `root`; returns (folder, sequence, frame) -> (Hand, the pickle's content)."""
  root, truth = os.path.join(root, f'HO3D_v{version}'), {}
  for folder, sequences in (('train', ('ABF10', 'MC1')), ('evaluation', ('SM1',))):
    lines = []
    for number, sequence in enumerate(sequences):
      for name in ('rgb', 'meta'):
        os.makedirs(os.path.join(root, folder, sequence, name))
      for i in range(frames):
        hand = hands.make('right', seed=20 * number + i + (folder == 'train') * 7, center_m=(.04, -.03, .55))
        frame = f'{i:04d}'
        meta = _meta(hand, folder, (sequence, frame))
        truth[folder, sequence, frame] = hand, meta
        lines.append(f'{sequence}/{frame}')
        place = os.path.join(root, folder, sequence)
        extension = 'png' if version == 2 else 'jpg'
        hands.draw([hand], INTRINSICS + SHIFT, SIZE, i).save(os.path.join(place, 'rgb', f'{frame}.{extension}'))
        with open(os.path.join(place, 'meta', f'{frame}.pkl'), 'wb') as file:
          pickle.dump(meta, file, protocol=2)
    with open(os.path.join(root, f'{folder}.txt'), 'w', encoding='utf-8') as file:
      file.write('\n'.join(lines) + '\n')
  if keypoints:
    joints = [published(truth['evaluation', 'SM1', f'{i:04d}'][0]).tolist() for i in range(frames)]
    with open(os.path.join(root, 'evaluation_xyz.json'), 'w', encoding='utf-8') as file:
      json.dump(joints, file)
  return truth


def _meta(hand: hands.Hand, folder: str, name: tuple) -> dict:
  """The content of a pickle; of some frames the object's pose is None, of one the hand's labels are."""
  rng = np.random.default_rng(int(name[1]))
  joints = published(hand)
  meta = {'camMat': INTRINSICS, 'objName': '021_bleach_cleanser', 'objLabel': 12,
          'objRot': None if int(name[1]) % 2 else rng.normal(size=[3, 1]), 'objTrans': rng.normal(size=3),
          'objCorners3DRest': rng.normal(size=[8, 3])}
  if folder == 'evaluation':
    pixels = hands.project(hand.keypoints_m, INTRINSICS)
    box = np.concatenate([pixels.min(0), pixels.max(0)]).astype(int).tolist()
    return {**meta, 'handJoints3D': joints[0], 'handBoundingBox': box}
  labels = {'handJoints3D': joints, 'handPose': rng.normal(size=48) * .3, 'handBeta': rng.normal(size=10),
            'handTrans': rng.normal(size=3)}
  return {**meta, **(dict.fromkeys(labels) if name == UNLABELLED else labels)}
