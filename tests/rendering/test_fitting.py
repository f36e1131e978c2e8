import numpy as np

from dhpe_tf.rendering.silhouette import silhouette
from tests.rendering.fitting import HandFitting


def test_sixty_steps_on_the_silhouette_alone_bring_wrong_poses_over_their_targets():
  problem = HandFitting(20)
  before, after = problem.iou(problem.start), problem.iou(problem.descend(silhouette, steps=60, rate=.04))
  assert np.median(after) >= np.median(before) + .3, (np.median(before), np.median(after))
