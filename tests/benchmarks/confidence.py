"""Fits and checks the confidence of joints: `python -m tests.benchmarks.confidence --model_dir=runs/landmarks`.

Fits the weights of `landmarks.confidence.joint_confidence` to rendered hands that the estimator has not learnt from,
whose joints are known. For others of them it prints how often joints of each confidence are near, and how far off.
"""
import numpy as np
import tensorflow as tf
from absl import app, flags

_MODEL = flags.DEFINE_string('model_dir', None, 'Folder of a training of gin/landmarks.gin.', required=True)
_FIT = flags.DEFINE_string('fit', 'evidence/any', 'Cached evidence whose split eval the weights are fitted to.')
_CHECK = flags.DEFINE_string('check', 'evidence/upright', 'Cached evidence whose split eval they are checked on.')

_LEVELS = (0., 0.2, 0.4, 0.6, 0.8, 0.9, 1.)


def look(model, folder: str) -> tuple[np.ndarray, np.ndarray]:
  """Features [N, 2] and true errors [N], crop units, of all joints of the split eval."""
  from dhpe_tf.methods.dhpe.landmarks import batches, confidence, evidence
  hands = batches.read(folder, 'eval')
  packed = tf.constant(hands['landmark_evidence'])
  found = model({'landmark_evidence': packed}, training=False)
  joints = model.state.joints(found['states'][-1], found['bases'][-1]).joints_2d
  seen = evidence.unpack(packed)
  features = confidence.features(seen.spread, tf.norm(joints - seen.joints_2d, axis=-1))
  errors = np.linalg.norm(joints - hands['joints_2d'], axis=-1)
  known = hands['joints_2d_weight'] > 0
  return features.numpy()[known], errors[known]


def fit(features: np.ndarray, near: np.ndarray) -> np.ndarray:
  """Weights [3], the bias first, of a logistic regression by Newton's method."""
  inputs = np.column_stack([np.ones(len(features)), features]).astype(np.float64)
  weights = np.zeros(3)
  for _ in range(20):
    share = 1 / (1 + np.exp(-inputs @ weights))
    slope = (inputs * (share * (1 - share))[:, None]).T @ inputs
    weights += np.linalg.solve(slope, inputs.T @ (near - share))
  return weights


def main(argv: list[str]) -> None:
  """Prints the weights and the table."""
  del argv
  from dhpe_tf.methods.dhpe.landmarks import confidence
  from dhpe_tf.training.trained import load_trained
  model = load_trained(_MODEL.value)[1]
  features, errors = look(model, _FIT.value)
  weights = fit(features, errors < confidence.NEAR)
  print('bias {:.3f}, spread_weight {:.3f}, residual_weight {:.3f}'.format(*weights))
  features, errors = look(model, _CHECK.value)
  sure = confidence.joint_confidence(*np.exp(features).T - confidence.LEAST, *weights.astype(np.float32)).numpy()
  print('| confidence | joints | mean confidence | near | median error, px of 256 |\n| --- | --- | --- | --- | --- |')
  for low, high in zip(_LEVELS, _LEVELS[1:]):
    chosen = (sure >= low) & (sure <= high)
    if chosen.any():
      print(f'| {low} to {high} | {chosen.sum()} | {sure[chosen].mean():.2f} | '
            f'{(errors[chosen] < confidence.NEAR).mean():.2f} | {128 * np.median(errors[chosen]):.1f} |')


if __name__ == '__main__':
  app.run(main)
