"""Measures how well hands are found: `python -m tests.benchmarks.finding --labels=photographs/labels.jsonl`.

Each line of the file names a photograph beside it (`image`), the side of a hand in it (`hand`, left or right, of the
unmirrored picture) and its 21 landmarks (`joints_2d_px`). A labelled hand counts as found if the landmarks of some hand
are off by less than a quarter of the longer side of the label's box, on average. Settings come by gin:
`--gin_param='finding.HandFinder.scales = (1.0, 1.6)'`.
"""
import collections
import json
import pathlib
import time

import numpy as np
from absl import app, flags

_LABELS = flags.DEFINE_string('labels', None, 'Labels, one hand a line, JSON.', required=True)
_EVERY = flags.DEFINE_integer('every', 1, 'Takes each so-manieth photograph only.', lower_bound=1)
_GIN_PARAM = flags.DEFINE_multi_string('gin_param', [], 'Settings of the finder.')
_MISSES = flags.DEFINE_string('misses', None, 'File for the names of photographs whose hand was not found.')
FOUND_WITHIN = 0.25  # of the longer side of the label's box


def _photographs() -> dict[str, list[dict]]:
  """The labels of each photograph."""
  photographs = collections.defaultdict(list)
  for line in pathlib.Path(_LABELS.value).read_text(encoding='utf-8').splitlines():
    label = json.loads(line)
    photographs[label['image']].append(label)
  return dict(list(photographs.items())[::_EVERY.value])


def _box_xywh(joints_px: np.ndarray) -> np.ndarray:
  """The box [4] around landmarks [21, 2]."""
  return np.concatenate([joints_px.min(0), np.ptp(joints_px, axis=0)]).astype(np.float32)


def _compare(label: dict, hands, side_px: float) -> dict:
  """Compares one labelled hand with the hands found; the distance is in px of a crop of `crops.REPORT_PX`."""
  from dhpe_tf.geometry import crops
  joints_px = np.asarray(label['joints_2d_px'])
  box_px = _box_xywh(joints_px)[2:].max()
  distance_px = np.linalg.norm(hands.joints_px.numpy() - joints_px, axis=-1).mean(axis=-1)
  if not len(distance_px) or distance_px.min() >= FOUND_WITHIN * box_px:
    return {'found': False}
  best = distance_px.argmin()
  return {'found': True, 'side': bool(hands.is_left[best]) == (label['hand'] == 'left'),
          'px': distance_px[best] * crops.REPORT_PX / side_px}


def _measure(photographs: dict[str, list[dict]], answer) -> list[str]:
  """Prints the figures of one way to find hands.

  Args:
    photographs: the labels of each photograph.
    answer: gives the hands for a picture and its first label.

  Returns:
    The names of the photographs with a hand that was not found.
  """
  import tensorflow as tf

  from dhpe_tf.geometry import crops
  results, extra, times_ms, misses = [], 0, [], []
  for name, labels in photographs.items():
    encoded = tf.io.read_file(str(pathlib.Path(_LABELS.value).parent / name))
    picture = tf.io.decode_image(encoded, 3, expand_animations=False)
    before = time.perf_counter()
    hands = answer(picture, labels[0])
    times_ms.append(1000 * (time.perf_counter() - before))
    joints_px = tf.constant([label['joints_2d_px'] for label in labels], tf.float32)
    compared = [_compare(label, hands, side) for label, side in zip(labels, crops.crop_from_joints(joints_px).side_px)]
    found = sum(result['found'] for result in compared)
    extra += len(hands.presence) - found
    misses += [name] * (found < len(labels))
    results += compared
  _print(results, extra / len(photographs), np.median(times_ms))
  return misses


def _print(results: list[dict], extra: float, picture_ms: float) -> None:
  """Prints one row."""
  found = [result for result in results if result['found']]
  print(f'found {np.mean([result["found"] for result in results]):.2%} of {len(results)}, right side '
        f'{np.mean([result["side"] for result in found]):.2%}, median distance '
        f'{np.median([result["px"] for result in found]):.2f} px of 256, extra hands a picture {extra:.4f}, '
        f'median {picture_ms:.0f} ms a picture', flush=True)


def main(argv: list[str]) -> None:
  """Measures `find`, and `at` with the box of the first label."""
  del argv
  from dhpe_tf import configuration
  from dhpe_tf.finding import finder
  configuration.load([], _GIN_PARAM.value)
  hand_finder = finder.HandFinder()
  photographs = _photographs()
  print('find', end=': ')
  misses = _measure(photographs, lambda picture, label: hand_finder.find(picture)[0])
  if _MISSES.value:
    pathlib.Path(_MISSES.value).write_text('\n'.join(misses), encoding='utf-8')
  print('at a box', end=': ')
  _measure({name: labels[:1] for name, labels in photographs.items()},
           lambda picture, label: hand_finder.at(picture, _box_xywh(np.asarray(label['joints_2d_px']))))


if __name__ == '__main__':
  app.run(main)
