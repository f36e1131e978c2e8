"""What the tests of the page share: the shipped model behind a server, and a picture of a hand."""
import numpy as np
import pytest

from dhpe_tf.data import image_files

pytest.importorskip('flask')
pytest.importorskip('tensorflow_serving')


@pytest.fixture(scope='package')
def answers():
  """Answers by the shipped model, through the REST interface of a loopback server."""
  from dhpe_tf.demo.answers import Answers, Limits
  from dhpe_tf.inference import predictor, remote
  from dhpe_tf.serving import loopback_server
  model = predictor.find_export(predictor.shipped_model())
  server = loopback_server.serve(model, warm=False)
  yield Answers(remote.connect(f'127.0.0.1:{server.rest_port}', model, interface='rest'), Limits(max_bytes=2**20))
  server.stop()


@pytest.fixture(scope='package')
def hand():
  """A picture of a right hand, which is surely found, and its joints [21, 2] px."""
  from dhpe_tf.finding import finder
  from tests.finding.hands import rendered
  pictures, joints_px = rendered()
  search = finder.HandFinder()
  presences = [max(search.find(picture)[0].presence.numpy(), default=0.) for picture in pictures]
  best = int(np.argmax(presences))
  return pictures[best], joints_px[best]


@pytest.fixture(scope='package')
def encoded(hand):
  """The picture of `hand` as a PNG file's bytes."""
  return image_files.encode(hand[0], 'PNG')
