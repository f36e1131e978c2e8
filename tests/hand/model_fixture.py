"""Hand models for the tests."""
import dataclasses

import numpy as np

from dhpe_tf.hand import skeletons
from dhpe_tf.hand.hand_model import HandModel, load_hand_model, mirrored

OFFSET = np.array([0.0957, 0.0064, 0.0062])


def mano_like_model(side: str = 'right', seed: int = 0) -> HandModel:
  """The built-in hand with random pose-dependent shapes and away from the origin, as MANO's hands are."""
  random = np.random.default_rng(seed)
  model = load_hand_model(side=side)
  return dataclasses.replace(model, name='mano_like', posedirs=random.normal(scale=2e-3, size=model.posedirs.shape),
                             v_template=model.v_template + OFFSET)


def random_model(side: str = 'right', seed: int = 0) -> HandModel:
  """A MANO-sized model of random numbers in a hand's layout, the same whatever hand this package ships.

  A cloud of vertices surrounds each joint; a finger's joints lie in a row toward -x, the thumb below the palm.
  """
  random = np.random.default_rng(seed)
  count = 778
  owners = np.arange(count) % 16
  joints = np.zeros([16, 3])
  for i, z in enumerate((0.025, 0.0, -0.04, -0.02, 0.04)):
    start = [-0.03, -0.02, z] if i == 4 else [-0.09, 0.0, z]
    for k in range(3):
      joints[1 + 3 * i + k] = np.array(start) + k * np.array([-0.028, -0.004 * k, 0.0])
  vertices = joints[owners] + random.normal(scale=0.008, size=[count, 3])
  regressor = np.where(owners == np.arange(16)[:, None], random.uniform(0.5, 1.5, [16, count]), 0)
  regressor /= regressor.sum(1, keepdims=True)
  weights = 0.7 * np.eye(16)[owners] + 0.3 * random.dirichlet(np.ones(16), count)
  shapedirs = random.normal(scale=1e-3, size=[count, 3, 10])
  # The first direction is size, as in every shape space of hands.
  shapedirs[..., 0] += 0.1 * (vertices - vertices.mean(0))
  components = np.linalg.qr(random.normal(size=[45, 45]))[0]
  rows = np.concatenate([regressor, np.eye(count)[[745, 333, 444, 555, 672]]])
  rows = rows[skeletons.permutation('mano21', 'dhpe')]
  model = HandModel(
      name='random', side='right', v_template=vertices + OFFSET, faces=random.integers(0, count, [1538, 3]),
      shapedirs=shapedirs, posedirs=random.normal(scale=1e-3, size=[count, 3, 135]), joint_regressor=regressor,
      weights=weights, parents=skeletons.PARENTS, hands_mean=random.normal(scale=0.2, size=45),
      hands_components=components, keypoint_regressor=np.broadcast_to(rows, (3, 21, count)))
  return model if side == 'right' else mirrored(model)


def random_inputs(count: int, seed: int = 0, spread: float = 0.5):
  """Poses [N, 45], shapes [N, 10] and cameras [N, 8], float64."""
  random = np.random.default_rng(seed)
  cameras = np.concatenate([random.normal(size=[count, 4]), random.uniform(2, 9, [count, 1]),
                            random.normal(size=[count, 3])], axis=1)
  return random.normal(scale=spread, size=[count, 45]), random.normal(size=[count, 10]), cameras
