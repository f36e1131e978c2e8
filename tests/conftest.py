"""What tests of several folders share."""
import pytest

import dhpe_tf  # noqa: F401  (selects Keras 2 before any test module imports TensorFlow)


@pytest.fixture(scope='session')
def toy_export(tmp_path_factory):
  """The folder of an export of `tests.serving.toy`, version 3; not to be changed."""
  from dhpe_tf.serving import exporter, model_card
  from tests.serving import toy
  folder = tmp_path_factory.mktemp('exported') / 'toy'
  return exporter.export(toy.build_toy_model(), str(folder), model_card.describe(toy.TASK, 'toy', 'a.b = 1'), version=3)
