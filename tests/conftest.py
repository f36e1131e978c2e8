"""What tests share; releases what a test module leaves behind; `--memory` prints what the process holds after each."""
import contextlib
import ctypes
import gc
import resource
import sys

import gin
import pytest

import dhpe_tf  # noqa: F401  (selects Keras 2 before any test module imports TensorFlow)


def pytest_addoption(parser):
  """Defines --memory."""
  parser.addoption('--memory', action='store_true', help='print the resident size, MB, after each test module')


@pytest.fixture(scope='module', autouse=True)
def _released(request):
  """Set up before the module's other fixtures, and so torn down after them, when their values can go."""
  yield
  gin.clear_config()
  if 'tensorflow' in sys.modules:
    sys.modules['tensorflow'].keras.backend.clear_session()
  gc.collect()
  with contextlib.suppress(OSError, AttributeError):  # where the C library is not glibc
    ctypes.CDLL('libc.so.6').malloc_trim(0)
  if request.config.getoption('--memory'):
    with request.config.pluginmanager.get_plugin('capturemanager').global_and_fixture_disabled():
      print(f' {_resident_mb()} MB after {request.node.nodeid}')


def _resident_mb() -> int:
  """Resident size of this process."""
  with open('/proc/self/statm', encoding='utf-8') as file:
    return int(file.read().split()[1]) * resource.getpagesize() >> 20


@pytest.fixture(scope='session')
def toy_export(tmp_path_factory):
  """The folder of an export of `tests.serving.toy`, version 3; not to be changed."""
  from dhpe_tf.serving import exporter, model_card
  from tests.serving import toy
  folder = tmp_path_factory.mktemp('exported') / 'toy'
  return exporter.export(toy.build_toy_model(), str(folder), model_card.describe(toy.TASK, 'toy', 'a.b = 1'), version=3)
