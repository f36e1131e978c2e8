"""The palm network answers as the original does."""
import numpy as np

from dhpe_tf.networks import palm_net
from tests.networks.landmarker_pictures import pictures
from tests.networks.make_landmarker_reference import OUTPUT, STEP


def test_equal_to_tensorflow_lite():
  model = palm_net.palm_net()
  found = model(pictures(palm_net.SIZE_PX))
  assert found['scores'].shape == (2, 2016) and found['boxes'].shape == (2, 2016, 18)
  with np.load(OUTPUT) as wanted:
    np.testing.assert_allclose(found['scores'][:, ::STEP], wanted['scores'], atol=1e-3)
    np.testing.assert_allclose(found['boxes'][:, ::STEP], wanted['boxes'], atol=1e-3)
    assert wanted['boxes'].std(axis=1).min() > 0.1, 'the answers must differ between anchors'
  assert model.count_params() == 1_132_056 and not model.trainable_variables
