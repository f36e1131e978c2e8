"""What the tests of serving share."""
import pytest

from dhpe_tf.serving import exporter, model_card
from tests.serving import toy


@pytest.fixture(scope='session')
def toy_export(tmp_path_factory):
  """The folder of an export of the toy, version 3; not to be changed."""
  folder = tmp_path_factory.mktemp('exported') / 'toy'
  return exporter.export(toy.build_toy_model(), str(folder), model_card.describe(toy.TASK, 'toy', 'a.b = 1'), version=3)
