import numpy as np

from dhpe_tf.metrics import mesh


def test_perfect_and_hopeless():
  vertices = np.random.default_rng(0).normal(size=[2, 50, 3])
  np.testing.assert_array_equal(mesh.f_score(vertices, vertices, .005), [1., 1.])
  np.testing.assert_array_equal(mesh.f_score(vertices, vertices + 100., .005), [0., 0.])


def test_by_hand():
  """Of four predicted vertices one is near a true one; of two true ones one is near a predicted one."""
  truth = np.array([[[0., 0, 0], [1, 0, 0]]])
  predictions = np.array([[[.004, 0, 0], [5, 0, 0], [6, 0, 0], [7, 0, 0]]])
  np.testing.assert_allclose(mesh.f_score(predictions, truth, .005), [2 * .25 * .5 / .75])
  np.testing.assert_allclose(mesh.f_score(predictions, truth, .003), [0.])


def test_against_brute_force():
  rng = np.random.default_rng(0)
  one, other = rng.uniform(size=[3, 40, 3]), rng.uniform(size=[3, 30, 3])
  for threshold in (.05, .15):
    for score, a, b in zip(mesh.f_score(one, other, threshold), one, other):
      distances = np.linalg.norm(a[:, None] - b[None], axis=-1)
      precision, recall = (distances.min(1) < threshold).mean(), (distances.min(0) < threshold).mean()
      np.testing.assert_allclose(score, 2 * precision * recall / max(precision + recall, 1e-12))
