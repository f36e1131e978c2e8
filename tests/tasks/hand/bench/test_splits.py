import pytest

from dhpe_tf.tasks.hand.bench import axes, draws, splits


@pytest.fixture(scope='module')
def regions():
  return axes.regions()


@pytest.fixture(scope='module')
def values(regions):
  drawing = draws.Draws(regions)
  return {split: drawing.of_split(split, 40, number) for number, split in enumerate((splits.TRAIN, *splits.TESTS))}


def test_no_held_out_value_occurs_in_training(values, regions):
  assert splits.leaks(values, regions) == []
  for split in splits.TESTS:
    nearest = axes.distances(values[split], values[splits.TRAIN]).min(0)
    for axis in splits.extrapolated(split):
      assert nearest[axes.AXES.index(axis)] > 0.1, (split, axis)


@pytest.mark.parametrize('axis, field', [('shape', 'shape'), ('articulation', 'pose'), ('view', 'rotation'),
                                         ('object', 'kind')])
def test_a_held_out_value_in_training_is_found(values, regions, axis, field):
  test = values[splits.EXTRAP[axis]]
  training = getattr(values[splits.TRAIN], field).copy()
  training = training.astype(getattr(test, field).dtype)
  training[7] = getattr(test, field)[3]
  half_sizes_m = values[splits.TRAIN].half_sizes_m.copy()
  half_sizes_m[7] = test.half_sizes_m[3]
  changed = values[splits.TRAIN]._replace(half_sizes_m=half_sizes_m)._replace(**{field: training})
  found = splits.leaks({**values, splits.TRAIN: changed}, regions)
  assert any(line.startswith(f'split train: 1 of 40 hands are not in the training region of the axis {axis}')
             for line in found)
  assert any(f'split {splits.EXTRAP[axis]}: 1 values of the axis {axis} occur in training' in line for line in found)


def test_a_training_hand_among_the_tests_is_found(values, regions):
  mixed = {**values, splits.INTERP: values[splits.TRAIN].take([1, 2])}
  assert splits.leaks(mixed, regions) == ['split interp: 2 hands are training hands']
  assert 'there is no split train' in splits.leaks({splits.INTERP: values[splits.INTERP]}, regions)[0]
