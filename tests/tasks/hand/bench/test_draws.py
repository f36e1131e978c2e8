import numpy as np
import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.hand import hand_model, joint_angles
from dhpe_tf.tasks.hand.bench import axes, draws, splits


def test_recombined_fingers_are_those_of_training_hands():
  training = draws.Draws(axes.regions()).of_split(splits.TRAIN, 30, 0)
  made = draws.recombined(training, 20, 1)
  model = hand_model.load_hand_model()
  seen, new = (joint_angles.pose_to_angles(np.asarray(hands.pose, np.float64), model).numpy().reshape(-1, 5, 9)
               for hands in (training, made))
  for finger in range(5):
    nearest = np.abs(new[:, None, finger] - seen[None, :, finger]).max(-1).min(1)
    assert nearest.max() < 1e-3
  whole = np.abs(new[:, None] - seen[None]).max((-1, -2)).min(1)
  assert np.mean(whole > 0.05) > 0.8
  assert {tuple(shape) for shape in made.shape} <= {tuple(shape) for shape in training.shape}


def test_the_control_reaches_all_regions():
  regions = axes.regions()
  hands = draws.Draws(regions).of_split(splits.CONTROL, 200, 0)
  for axis in axes.AXES:
    assert {axes.TRAINING, axes.HELD_OUT} <= set(regions.of(axis, hands)), axis


def test_regions_that_no_hand_reaches_are_named(monkeypatch):
  monkeypatch.setattr(draws, '_MOST_ROUNDS', 1)
  regions = axes.regions(articulation_deg=(10., 300.))
  with pytest.raises(UserError, match='axis articulation: hardly any hand'):
    draws.Draws(regions).of_split(splits.EXTRAP['articulation'], 5, 0)
