"""Error measures on meshes. Vertex-to-vertex distances are those of `pose_error`, with vertices for keypoints."""
import numpy as np
from scipy import spatial


def f_score(predictions: np.ndarray, truth: np.ndarray, threshold: float) -> np.ndarray:
  """The F-score at a distance, between two sets of vertices, as FreiHAND and HO-3D count it.

  Precision P is the share of predicted vertices with a true one nearer than the threshold, recall R the share of true
  ones with a predicted one nearer than it; the score is their harmonic mean, F = 2 P R / (P + R).

  Args:
    predictions: `[N, V, 3]`.
    truth: `[N, W, 3]`.
    threshold: in the unit of the vertices; 0.005 and 0.015 for the F@5 and F@15 of meshes in metres.

  Returns:
    `[N]` in [0, 1].
  """
  scores = []
  for one, other in zip(np.asarray(predictions, np.float64), np.asarray(truth, np.float64)):
    precision, recall = (np.mean(spatial.cKDTree(targets).query(points)[0] < threshold)
                         for points, targets in ((one, other), (other, one)))
    scores.append(2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.)
  return np.array(scores)
