"""Hand models for the tests: the built-in hand dressed up as a MANO file, with every array that MANO fills."""
import dataclasses

import numpy as np

from dhpe_tf.hand.hand_model import HandModel, load_hand_model

OFFSET = np.array([0.0957, 0.0064, 0.0062])


def mano_like_model(side: str = 'right', seed: int = 0) -> HandModel:
  """The built-in hand with random pose-dependent shapes and away from the origin, as MANO's hands are."""
  random = np.random.default_rng(seed)
  model = load_hand_model(side=side)
  return dataclasses.replace(model, name='mano_like', posedirs=random.normal(scale=2e-3, size=model.posedirs.shape),
                             v_template=model.v_template + OFFSET)


def random_inputs(count: int, seed: int = 0, spread: float = 0.5):
  """Poses [N, 45], shapes [N, 10] and cameras [N, 8], float64."""
  random = np.random.default_rng(seed)
  cameras = np.concatenate([random.normal(size=[count, 4]), random.uniform(2, 9, [count, 1]),
                            random.normal(size=[count, 3])], axis=1)
  return random.normal(scale=spread, size=[count, 45]), random.normal(size=[count, 10]), cameras
