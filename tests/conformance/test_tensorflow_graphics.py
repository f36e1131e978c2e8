"""The test classes inside the tensorflow-graphics wheel, run on our backend in the place of their CPU backend.

Every case of theirs passes; there is none that cannot. pytest reports four skips, one for each class: `test_session`, a
deprecated helper of tf.test.TestCase that they inherit and that skips itself ("Not a test."). Not run:
gpu_rasterization_backend_test and splat_with_opengl_test, whose subject is their OpenGL backend and not the interface.
"""
import math
import sys

import numpy as np
import pytest
from absl.testing import flagsaver

from dhpe_tf.rendering import tfg_backend

rasterization_backend = pytest.importorskip('tensorflow_graphics.rendering.rasterization_backend')
barycentrics_test, cpu_rasterization_backend_test, interpolate_test, splat_test = (
    pytest.importorskip(f'tensorflow_graphics.rendering.tests.{name}_test')
    for name in ('barycentrics', 'cpu_rasterization_backend', 'interpolate', 'splat'))


@pytest.fixture(autouse=True)
def _our_backend(monkeypatch):
  monkeypatch.setitem(sys.modules, 'tensorflow_graphics.rendering.kernels.rasterization_backend', tfg_backend)
  monkeypatch.setattr(np, 'math', math, raising=False)  # their test utilities use it; NumPy 1.25 and later deprecate it
  with flagsaver.flagsaver():  # their tests check rotation matrices, which would go on in the tests after them
    yield


class TestRasterizationBackend(cpu_rasterization_backend_test.CPURasterizationBackendTest):
  pass


class TestSplat(splat_test.SplatTest):
  pass


class TestInterpolate(interpolate_test.RasterizeTest):
  pass


class TestBarycentrics(barycentrics_test.BarycentricsTest):
  pass


def test_install_selects_our_backend(monkeypatch):
  monkeypatch.delitem(sys.modules, 'tensorflow_graphics.rendering.kernels.rasterization_backend')
  tfg_backend.install()
  buffer = rasterization_backend.rasterize(
      np.array([[[-.5, -.5, 0], [.5, -.5, 0], [0, .5, 0]]], np.float32), [[0, 1, 2]], np.eye(4, dtype=np.float32)[None],
      (8, 6), backend=rasterization_backend.RasterizationBackends.CPU)
  assert buffer.foreground_mask.shape == (1, 1, 6, 8, 1) and buffer.foreground_mask.numpy().any()
