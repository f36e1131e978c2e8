"""How far inside the fingers the landmark network sees their tips: `python -m tests.benchmarks.fingertips`.

  python -m data_tools.make_synthetic --output=records/whole --train=0 --eval=400 --image_size=480 --seed=77 \
    --gin_param="synthesis.HandRenderer.fill = (0.25, 0.5)"
  python -m tests.benchmarks.fingertips --records=records/whole

Finds the hand in pictures of rendered hands, whose tips are known. For each finger it prints how far the network's tip
lies short of the true one along the last bone in the picture, as a share of that bone
(`landmarks.to_fingertips.inside`). The joint before the tip, along its own bone, stands beside it. Bones that point at
the camera are left out.
"""
import numpy as np
import tensorflow as tf
from absl import app, flags
from tqdm import tqdm

_RECORDS = flags.DEFINE_string('records', 'records/whole', 'Record set of rendered hands, one in a picture.')
_SPLIT = flags.DEFINE_string('split', 'eval', 'Its split.')

NEAR = 0.15  # a hand is found if its joints are closer to the true ones than this share of its size, on average
LEAST_LENGTH = 0.06  # of a bone in the picture, over the hand's size
SEEN = 0.5  # visibility from which a joint counts


def short_of(seen_px: np.ndarray, true_px: np.ndarray, start: int, end: int) -> float:
  """How far a seen joint `end` lies short of the true one along the bone from `start`, over the bone's length.

  Args:
    seen_px: [21, 2].
    true_px: [21, 2].
    start: number of the joint at which the bone begins.
    end: number of the joint.
  """
  bone = true_px[end] - true_px[start]
  return float((true_px[end] - seen_px[end]) @ bone / (bone @ bone))


def measure(picture: tf.Tensor, record: dict, hand_finder, shares: dict[int, list[float]]) -> bool:
  """Adds the shares of a picture's hand by joint; whether the hand was found."""
  from dhpe_tf.hand import skeletons
  true_px, visible = record['hand/joints_2d_px'].numpy(), record['hand/visibility'].numpy()
  found_px = hand_finder.find(picture)[0].joints_px.numpy()
  size_px = np.ptp(true_px, axis=0).max()
  distances = np.linalg.norm(found_px - true_px, axis=-1).mean(axis=1)
  if not len(distances) or distances.min() > NEAR * size_px:
    return False
  for joint in shares:
    start = skeletons.KEYPOINT_PARENTS[joint]
    if visible[joint] >= SEEN and np.linalg.norm(true_px[joint] - true_px[start]) >= LEAST_LENGTH * size_px:
      shares[joint].append(short_of(found_px[distances.argmin()], true_px, start, joint))
  return True


def main(argv: list[str]) -> None:
  """Prints the table."""
  del argv
  from dhpe_tf.data import tfrecords
  from dhpe_tf.finding import finder
  from dhpe_tf.hand import skeletons
  from dhpe_tf.tasks.hand.record import HAND_RECORD
  shares = {joint: [] for tip in skeletons.TIPS for joint in (tip, tip - 1)}
  hand_finder, found, count = finder.HandFinder(), 0, 0
  for record in tqdm(tfrecords.read(_RECORDS.value, _SPLIT.value, HAND_RECORD.schema), unit=' hands'):
    picture = tf.io.decode_image(record['image/encoded'], 3, expand_animations=False)
    found += measure(picture, record, hand_finder, shares)
    count += 1
  print(f'{found} of {count} hands found\n\n| finger | tip short of the true one, median | quartiles | hands | '
        'joint before it |\n| --- | --- | --- | --- | --- |')
  for finger, tip in zip(skeletons.FINGERS, skeletons.TIPS):
    low, median, high = np.percentile(shares[tip], [25, 50, 75])
    before = np.median(shares[tip - 1])
    print(f'| {finger} | {median:.2f} | {low:.2f} to {high:.2f} | {len(shares[tip])} | {before:.2f} |')


if __name__ == '__main__':
  app.run(main)
