"""What the benchmark times beside tensorflow-graphics does the same."""
import numpy as np
import pytest

from tests.benchmarks import graphics

pytest.importorskip('tensorflow_graphics.rendering.camera.perspective')


def test_pairs_agree():
  for pair in graphics.pairs(2):
    ours, theirs = pair.ours(*pair.inputs), pair.theirs(*pair.inputs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4, err_msg=pair.name)
