"""Measures predict on a video of one hand: `python -m tests.benchmarks.video --input=video.mp4`.

Prints the frames a second with overlays written, how many frames have a hand, and the jitter of the joints beside that
of the landmark network alone, which follows the hand from frame to frame with no smoothing. Jitter is the size of
x[t-1] - 2 x[t] + x[t+1] of a joint in the picture, in px of 256 for the longer side of the hand's joints. A smooth
motion has little of it; so has one that lags behind, so the distance from the network's joints stands beside it.
"""
import json
import os
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

_INPUT = flags.DEFINE_string('input', None, 'Video of one hand.', required=True)
_MODEL = flags.DEFINE_string('model', None, 'Another export than the shipped one.')
_LITE = flags.DEFINE_boolean('lite', True, 'As in predict.')
_SIDE_PX = 256
TARGET_HZ = 25


def predicted(predictor, path: str) -> tuple[list, float]:
  """The joints `[21, 2]` px of the first hand of each frame, or None without one, and the seconds that it took."""
  from dhpe_tf import command_line
  from dhpe_tf.data import video_files
  from dhpe_tf.inference import clips
  options = command_line.task_flags(predictor.task.define_flags, 'predict', ['predict'])
  predictor.task.check_options(options)
  with tempfile.TemporaryDirectory() as folder, video_files.read_frames(path) as reader:
    clip = predictor.task.open_clip(reader.name, options, predictor.card)
    stem = os.path.join(folder, 'video')
    start_s = time.perf_counter()
    clips.predict(reader, predictor, clip, stem, clip.refine_steps)
    taken_s = time.perf_counter() - start_s
    with open(f'{stem}.jsonl', encoding='utf-8') as file:
      hands = [json.loads(line)['hands'] for line in file]
  return [np.array(found[0]['joints_2d_px']) if found else None for found in hands], taken_s


def followed(hand_finder, path: str) -> list:
  """The landmark network's own joints of each frame, likewise."""
  from dhpe_tf.data import video_files
  joints, hands = [], None
  with video_files.read_frames(path) as reader:
    for frame in reader:
      picture = tf.constant(frame.picture)
      if hands is not None and len(hands.presence):
        hands = hand_finder.follow(picture, hands)
      if hands is None or not len(hands.presence):
        hands, _ = hand_finder.find(picture)
      joints.append(hands.joints_px[0].numpy() if len(hands.presence) else None)
  return joints


def jitter_px(joints: list, sizes: np.ndarray) -> np.ndarray:
  """The jitter `[N]` of all joints of all frames that have a hand, like the frames before and after."""
  found = []
  for number in range(1, len(joints) - 1):
    three = joints[number - 1:number + 2]
    if all(one is not None for one in three):
      change = three[0] - 2 * three[1] + three[2]
      found.append(np.linalg.norm(change, axis=-1) * _SIDE_PX / sizes[number])
  return np.concatenate(found)


def main(argv: list[str]) -> None:
  """Prints the table."""
  del argv
  from dhpe_tf.finding import finder
  from dhpe_tf.inference import predictor as predictors
  model = _MODEL.value or predictors.shipped_model()
  ours, taken_s = predicted(predictors.load(model, lite=_LITE.value), _INPUT.value)
  used = predictors.load(model, lite=_LITE.value).task.hand_finder()
  # It looks at each square once; that of `predict` looks at the mirror image too.
  alone = finder.HandFinder(used.landmark_net, used.palm_net) if isinstance(used, finder.HandFinder) else used
  network = followed(alone, _INPUT.value)
  sizes = np.array([np.nan if one is None else np.ptp(one, axis=0).max() for one in network])
  distances = np.concatenate([np.linalg.norm(one - other, axis=-1) * _SIDE_PX / size
                              for one, other, size in zip(ours, network, sizes)
                              if one is not None and other is not None])
  with_hand = sum(one is not None for one in ours)
  print(f'{len(ours)} frames at {len(ours) / taken_s:.1f} a second, overlays included (target {TARGET_HZ}); '
        f'{with_hand} with a hand; TensorFlow {tf.__version__}, {os.cpu_count()} processors\n')
  print(f'| joints | jitter, px of {_SIDE_PX}: median | mean | 90% | from the network\'s: median | 90% |\n'
        + '| --- ' * 6 + '|')
  for name, joints in (('of predict', ours), ('of the landmark network', network)):
    values = jitter_px(joints, sizes)
    apart = f'{np.median(distances):.1f} | {np.percentile(distances, 90):.1f}' if joints is ours else ' | '
    print(f'| {name} | {np.median(values):.2f} | {values.mean():.2f} | {np.percentile(values, 90):.2f} | {apart} |')


if __name__ == '__main__':
  app.run(main)
