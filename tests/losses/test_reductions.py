import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.losses import reductions

TERMS = {'a': tf.constant([1., 2.]), 'b': tf.constant([10., np.nan])}


def test_weighted_sum():
  terms = {'a': TERMS['a'], 'c': tf.constant([3., 4.])}
  np.testing.assert_allclose(reductions.combine(terms, {'a': 2., 'c': .5}), [3.5, 6.])


def test_term_of_weight_zero_is_left_out():
  np.testing.assert_allclose(reductions.combine(TERMS, {'a': 1., 'b': 0.}), [1., 2.])


@pytest.mark.parametrize('weights, message', [({'a': 1.}, 'b'), ({'a': 1., 'b': 1., 'd': 1.}, 'd'),
                                              ({'a': 0., 'b': 0.}, 'all weights')])
def test_names_must_agree(weights, message):
  with pytest.raises(ValueError, match=message):
    reductions.combine(TERMS, weights)
