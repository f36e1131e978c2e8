import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.tasks.hand.record import SCHEMA
from tests.data import records


def parse(serialized):
  return tf.io.parse_single_example(serialized, SCHEMA.parse_spec(SCHEMA.to_text(), 'schema.pbtxt'))


def test_every_field_comes_back():
  original = records.record(1)
  parsed = parse(SCHEMA.encode(original))
  assert set(parsed) == set(SCHEMA.fields)
  for name, field in SCHEMA.fields.items():
    if field.kind == 'bytes':
      expected = original[name] if isinstance(original[name], bytes) else original[name].encode()
      assert parsed[name].numpy() == expected
    else:
      np.testing.assert_allclose(parsed[name], original[name], rtol=1e-6)


def test_fields_left_out_have_their_defaults():
  original = records.record(1, camera=False, mask=False)
  del original['hand/pose'], original['hand/visibility']
  parsed = parse(SCHEMA.encode(original))
  assert parsed['mask/encoded'].numpy() == b''
  np.testing.assert_array_equal(parsed['camera/intrinsics'], np.zeros((3, 3)))
  np.testing.assert_array_equal(parsed['hand/pose'], np.zeros(45))
  np.testing.assert_array_equal(parsed['hand/visibility'], np.ones(21))


@pytest.mark.parametrize('change, message', [
    ({'hand/joints_2d_px': np.full((21, 2), np.nan)}, '0001.png: hand/joints_2d_px holds NaN'),
    ({'hand/joints_2d_px': np.zeros((20, 2))}, r'hand/joints_2d_px has shape \(20, 2\), not \(21, 2\)'),
    ({'hand/side': 'both'}, "hand/side is 'both', not 'right' or 'left'; correct it"),
    ({'hand/joints_3d_m': np.full((21, 3), 1e300)}, '0001.png: hand/joints_3d_m holds 1e.300, not a number that '
     'float32 can hold; correct the labels'),
    ({'hand/joints_2d_valid': np.full(21, -1)}, 'hand/joints_2d_valid holds -1, not a number from 0 to 1; correct'),
    ({'hand/joints_3d_valid': np.full(21, 1e300)}, 'hand/joints_3d_valid holds 1e.300, not a number from 0 to 1'),
    ({'hand/visibility': np.linspace(0, 1.1, 21)}, 'hand/visibility holds 1.1, not a number from 0 to 1'),
    ({'hand/pose': np.full(45, -np.inf)}, 'hand/pose holds NaN or infinity'),
    ({'image/height': 0}, 'image/height holds 0, not a number from 1 to'),
    ({'image/width': 119.5}, 'image/width holds 119.5, not a whole number'),
    ({'image/width': np.nan}, 'image/width holds NaN'),
    ({'hand/colour': 1}, 'hand/colour is not a field'),
    ({'hand/shape': ['a'] * 10}, 'hand/shape holds something that is not a number'),
])
def test_bad_values_are_named(change, message):
  with pytest.raises(UserError, match=message):
    SCHEMA.encode({**records.record(1), **change})


def test_the_ends_of_the_ranges_are_taken():
  largest = np.full((21, 3), np.finfo(np.float32).max)
  changed = {'hand/joints_3d_valid': np.linspace(0, 1, 21), 'hand/joints_3d_m': largest, 'image/height': 1}
  SCHEMA.encode({**records.record(1), **changed})


def test_missing_field_is_named():
  original = records.record(1)
  del original['hand/joints_2d_px']
  with pytest.raises(UserError, match='hand/joints_2d_px is missing'):
    SCHEMA.encode(original)


def test_schema_of_another_kind_is_refused():
  text = SCHEMA.to_text()
  with pytest.raises(UserError, match='is not a schema'):
    SCHEMA.parse_spec('feature {', 'some/schema.pbtxt')
  with pytest.raises(UserError, match='has no field hand/side'):
    SCHEMA.parse_spec(text.replace('hand/side', 'hand/hand'), 'some/schema.pbtxt')
  assert SCHEMA.parse_spec(text.replace('hand/pose', 'hand/posture'), 'some/schema.pbtxt')[
      'hand/pose'].default_value == [0.] * 45
  with pytest.raises(UserError, match='hand/pose has type and shape'):
    SCHEMA.parse_spec(text.replace('size: 45', 'size: 48'), 'some/schema.pbtxt')
