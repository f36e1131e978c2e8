r"""Measures predict on labelled photographs, hands found without a box: `python -m tests.benchmarks.photographs`.

  python -m tests.benchmarks.photographs --labels=photographs/labels.jsonl \
    --groups=exported/dhpe_hand/held_out_groups.txt

Labels are lines as `data_tools.convert_jsonl` takes them. If a network made them, the figures are agreement with it and
not accuracy. The error in px is that of a crop of 256 px around the labelled hand. Procrustes differences are those of
the 3D joints after the best similarity. Flip is the distance between the joints in a picture and in its mirror image.
"""
import collections
import json
import os
import time

import numpy as np
import tensorflow as tf
from absl import app, flags
from tqdm import tqdm

_LABELS = flags.DEFINE_string('labels', None, 'Labels (.jsonl), beside their photographs.', required=True)
_GROUPS = flags.DEFINE_string('groups', None, 'File with one group a line; others are left out. All without it.')
_MODEL = flags.DEFINE_string('model', None, 'Export or training; the shipped model without it.')
_LITE = flags.DEFINE_boolean('lite', True, 'As in predict.')
_STEPS = flags.DEFINE_list('refine_steps', None, 'Numbers of steps; those of the model card without it.')
_MOST = flags.DEFINE_integer('most', 0, 'Largest number of photographs, spread over all; 0 for all.')
_FLIP = flags.DEFINE_bool('flip', True, 'Whether to look at the mirrored photographs too.')
_OUTPUT = flags.DEFINE_string('output', None, 'JSON file for the figures of every photograph.')

NEAR = 0.25  # a hand is found if its joints are closer to the label's than this share of the label's crop, on average


def find_nearest(predictor, picture: np.ndarray, joints_px: np.ndarray, steps: list[int]) -> list[dict]:
  """The results for the hand that is nearest to labelled joints [21, 2], one for each number of steps.

  Returns:
    By name the values of the hand; empty if no hand is found.
  """
  from dhpe_tf.tasks.hand import request as requests
  task = predictor.task
  hands, _ = task.hand_finder().find(tf.constant(picture))
  if not len(hands.presence):
    return []
  nearest = int(np.argmin(np.linalg.norm(hands.joints_px.numpy() - joints_px, axis=-1).mean(1)))
  hands = tf.nest.map_structure(lambda part: part[nearest:nearest + 1], hands)
  request = requests.found(picture, 'a photograph', hands, upright=task.sees_upright(predictor.card))
  inputs = task.inputs(request, predictor.input_specs)
  if predictor.refined:
    answers = predictor.refined(inputs, steps)
  else:
    answers = [predictor.answer(inputs)]
  return [{**found[0].values, 'is_left': found[0].side == 'left'}
          for found in (task.result(request, answer, predictor.card) for answer in answers)]


def measure(predictor, folder: str, label: dict, steps: list[int]) -> list[dict[str, float]]:
  """The figures of a photograph for each number of steps; empty if its hand is not found."""
  from dhpe_tf.data import image_files
  from dhpe_tf.metrics import pose_error
  picture = image_files.read_image(os.path.join(folder, label['image']))
  joints_px, joints_m = (np.array(label[name], np.float64) for name in ('joints_2d_px', 'joints_3d_m'))
  side_px = 1.5 * np.ptp(joints_px, axis=0).max()
  start = time.perf_counter()
  found = find_nearest(predictor, picture, joints_px, steps)
  seconds = time.perf_counter() - start
  mirrored = find_nearest(predictor, picture[:, ::-1], joints_px * [-1, 1] + [picture.shape[1], 0],
                          steps) if _FLIP.value and found else []
  figures = []
  for number, values in enumerate(found):
    error = np.linalg.norm(values['joints_2d_px'] - joints_px, axis=-1).mean()
    if error > NEAR * side_px:
      return []
    aligned = pose_error.align_procrustes(values['joints_3d_m'][None].astype(np.float64), joints_m[None])[0]
    figure = {'2D, px of 256': error * 256 / side_px, 'score': float(values['score']), 'seconds': seconds,
              'Procrustes, mm': 1000 * np.linalg.norm(aligned - joints_m, axis=-1).mean(),
              'side right': float(values['is_left'] == (label['hand'] == 'left'))}
    if mirrored:
      back = mirrored[number]['joints_2d_px'] * [-1, 1] + [picture.shape[1], 0]
      figure['flip, px of 256'] = np.linalg.norm(values['joints_2d_px'] - back, axis=-1).mean() * 256 / side_px
    figures.append(figure)
  return figures


def labelled() -> list[dict]:
  """The labels of --labels that --groups and --most leave."""
  with open(_LABELS.value, encoding='utf-8') as file:
    labels = [json.loads(line) for line in file]
  if _GROUPS.value:
    with open(_GROUPS.value, encoding='utf-8') as file:
      groups = set(file.read().split())
    labels = [label for label in labels if label['group'] in groups]
  return labels[::max(len(labels) // _MOST.value, 1)][:_MOST.value] if _MOST.value else labels


def main(argv: list[str]) -> None:
  """Prints the figures as a Markdown table, by source and number of steps."""
  del argv
  from dhpe_tf.inference import predictor as predictors
  predictor = predictors.load(_MODEL.value or predictors.shipped_model(), lite=_LITE.value)
  steps = [int(text) for text in _STEPS.value or [predictor.card.get('usage', {}).get('refine_steps', 0)]]
  rows, missed, every = collections.defaultdict(list), collections.Counter(), []
  for label in tqdm(labelled(), unit=' photographs'):
    source = label['image'].split('/')[0]
    figures = measure(predictor, os.path.dirname(_LABELS.value), label, steps)
    missed[source] += not figures
    for number, figure in zip(steps, figures):
      rows[source, number].append(figure)
      every.append({'image': label['image'], 'steps': number, **figure})
  print('| photographs | steps | found | measure | median | mean | 90th percentile |')
  print('| --- | --- | --- | --- | --- | --- | --- |')
  for (source, number), figures in sorted(rows.items()):
    share = len(figures) / (len(figures) + missed[source])
    for name in figures[0]:
      values = np.array([figure[name] for figure in figures if name in figure])
      numbers = ' | '.join(f'{value:.2f}' for value in (np.median(values), values.mean(), np.percentile(values, 90)))
      print(f'| {source} | {number} | {share:.1%} of {len(figures) + missed[source]} | {name} | {numbers} |')
  if _OUTPUT.value:
    with open(_OUTPUT.value, 'w', encoding='utf-8') as file:
      json.dump(every, file, indent=1)


if __name__ == '__main__':
  app.run(main)
