"""A small FreiHAND version 2 in the exact format on disk."""
import json
import os

import numpy as np
from PIL import Image

from tests.data_tools.readers import hands

SIZE = (224, 224)
SHIFT = np.array([[0, 0, .5], [0, 0, .5], [0, 0, 0]])


def intrinsics(seed: int) -> np.ndarray:
  """Each sample has a camera of its own; as published, pixel centres at whole numbers."""
  return np.array([[480. + seed, 0., 112.], [0., 485. + seed, 112.], [0., 0., 1.]])


def write(root, samples: int = 2, evaluation: int = 2, evaluation_labels: bool = True) -> dict:
  """Writes FreiHAND_pub_v2 below `root`; returns (folder, sample) -> (Hand, the 61 numbers of MANO)."""
  truth = {}
  for folder, count, versions in (('training', samples, 4), ('evaluation', evaluation, 1)):
    path = os.path.join(root, 'FreiHAND_pub_v2', folder)
    os.makedirs(os.path.join(path, 'rgb'))
    labels = {'K': [], 'xyz': [], 'mano': [], 'verts': []}
    for sample in range(count):
      hand = hands.make('right', seed=sample + 10 * versions, center_m=(0., 0., .7))
      mano = np.random.default_rng(sample).normal(size=[1, 61])
      truth[folder, sample] = hand, mano[0]
      for name, values in (('K', intrinsics(sample)), ('xyz', hand.keypoints_m), ('mano', mano),
                           ('verts', hand.vertices_m)):
        labels[name].append(np.asarray(values).tolist())
      for version in range(versions):
        name = f'{sample + count * version:08d}.jpg'
        hands.draw([hand], intrinsics(sample) + SHIFT, SIZE, version).save(os.path.join(path, 'rgb', name), quality=95)
      if folder == 'training':
        _write_mask(os.path.join(path, 'mask'), sample, hand)
    for name, values in labels.items():
      if folder == 'training' or evaluation_labels or name == 'K':
        with open(os.path.join(root, 'FreiHAND_pub_v2', f'{folder}_{name}.json'), 'w', encoding='utf-8') as file:
          json.dump(values, file)
  return truth


def exact_mask(hand: hands.Hand, sample: int) -> np.ndarray:
  """The mask `[H, W]` before JPEG has touched it."""
  ids = [np.full(len(hand.model.faces), 255)]
  return np.array(hands.draw_ids([hand], intrinsics(sample) + SHIFT, SIZE, ids, np.zeros(SIZE))) > 0


def _write_mask(folder: str, sample: int, hand: hands.Hand) -> None:
  os.makedirs(folder, exist_ok=True)
  grey = Image.fromarray(np.where(exact_mask(hand, sample), np.uint8(255), np.uint8(0)))
  grey.convert('RGB').save(os.path.join(folder, f'{sample:08d}.jpg'), quality=60)
