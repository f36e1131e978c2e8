"""Trains the estimator on landmark evidence without one thing at a time.

  python -m tests.benchmarks.landmark_ablation --steps=400 --seeds=3 > table.md

Prints, for each variant, mean and standard deviation over the seeds of the errors on held-out photographs (labels of
another network: agreement, not accuracy) and on held-out rendered hands (truth), without and with refinement. The runs
are short; they rank the parts and are no measure of the shipped model.
"""
import collections

import numpy as np
import tensorflow as tf
from absl import app, flags
from tqdm import tqdm

_STEPS = flags.DEFINE_integer('steps', 400, 'Steps of a training.', lower_bound=1)
_SEEDS = flags.DEFINE_integer('seeds', 3, 'Trainings of each variant.', lower_bound=1)
_FOLDER = flags.DEFINE_string('evidence', 'evidence', 'Holds any/, upright/ and photographs/, see gin/landmarks.gin.')
_VARIANTS = flags.DEFINE_list('variants', [], 'Names of the variants to run; all without it.')

_REFINE_STEPS = 2
_RENDERED, _PHOTOGRAPHS = ('any', 'upright'), ('photographs',)
# By name: sources, share of random hands, gin settings, whether the evidence has depth.
VARIANTS = {
    'everything': (_RENDERED + _PHOTOGRAPHS, 0.4, [], True),
    'no random hands': (_RENDERED + _PHOTOGRAPHS, 0., [], True),
    'no rendered pictures': (_PHOTOGRAPHS, 0.4, [], True),
    'no photographs': (_RENDERED, 0.4, [], True),
    'no joint limits': (_RENDERED + _PHOTOGRAPHS, 0.4, ['EvidenceObjective.limits = 0.0'], True),
    'no perspective': (_RENDERED + _PHOTOGRAPHS, 0.4, ['HandState.perspective = False'], True),
    'no depth evidence': (_RENDERED + _PHOTOGRAPHS, 0.4, [], False),
}


def without_depth(batch: dict) -> dict:
  """The batch without depths, in the picture and in metres."""
  keep = tf.constant([1., 1., 0., 1., 1., 0., 1.])
  return {**batch, 'landmark_evidence': batch['landmark_evidence'] * keep}


def train(sources: tuple, random_share: float, has_depth: bool, seed: int):
  """A trained model."""
  from dhpe_tf.methods.dhpe.landmarks import batches, model
  from dhpe_tf.tasks.hand.task import HandTask
  tf.keras.utils.set_random_seed(seed)
  task = HandTask()
  made = model.landmark_model(task)
  schedule = tf.keras.optimizers.schedules.CosineDecay(1e-3, _STEPS.value)
  made.compile(tf.keras.optimizers.Adam(schedule, clipnorm=5.))
  dataset = batches.evidence_dataset(
      task, [(f'{_FOLDER.value}/{name}', 'train', 0.5 if name in _PHOTOGRAPHS else 1.) for name in sources],
      random_share=random_share, error_file=f'{_FOLDER.value}/any', seed=seed)
  step = tf.function(made.train_step)
  for batch in dataset.take(_STEPS.value):
    step(batch if has_depth else without_depth(batch))
  return made


def errors(made, name: str, has_depth: bool, steps: int) -> dict[str, float]:
  """Median 2D error in px of 256 and median Procrustes difference in mm on the split eval of a source."""
  from dhpe_tf.methods.dhpe.landmarks import batches, evidence
  from dhpe_tf.metrics import pose_error
  hands = {key: tf.constant(value) for key, value in batches.read(f'{_FOLDER.value}/{name}', 'eval').items()}
  hands = hands if has_depth else without_depth(hands)
  joints = made.fitted_joints(evidence.unpack(hands['landmark_evidence']), steps)
  error_2d = np.linalg.norm(joints.joints_2d - hands['joints_2d'], axis=-1).mean(1)
  metres, truth = (np.asarray(points, np.float64) for points in (joints.metres, hands['joints_3d_m']))
  error_3d = np.linalg.norm(pose_error.align_procrustes(metres, truth) - truth, axis=-1).mean(1)
  return {'2D, px of 256': 128 * float(np.median(error_2d)), 'Procrustes, mm': 1000 * float(np.median(error_3d))}


def main(argv: list[str]) -> None:
  """Prints the table, a row as soon as a variant is done."""
  del argv
  from dhpe_tf import configuration
  chosen = _VARIANTS.value or list(VARIANTS)
  columns = [(name, steps) for name in ('photographs', 'any') for steps in (0, _REFINE_STEPS)]
  titles = [f'{name}, {steps} steps: {measure}' for name, steps in columns for measure in ('px', 'mm')]
  print(f'| variant | {" | ".join(titles)} |\n|{" --- |" * (len(titles) + 1)}')
  for variant in tqdm(chosen):
    sources, share, settings, has_depth = VARIANTS[variant]
    values = collections.defaultdict(list)
    for seed in range(_SEEDS.value):
      configuration.load(gin_params=settings)
      made = train(sources, share, has_depth, seed)
      for name, steps in columns:
        for measure, value in errors(made, name, has_depth, steps).items():
          values[name, steps, measure].append(value)
    print(f'| {variant} | {" | ".join(f"{np.mean(v):.2f} ± {np.std(v):.2f}" for v in values.values())} |', flush=True)


if __name__ == '__main__':
  app.run(main)
