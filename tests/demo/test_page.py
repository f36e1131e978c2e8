"""The page in a browser: a hand appears and turns, errors are shown, nothing leaves this machine."""
import contextlib
import io
import json
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from dhpe_tf.data import image_files
from dhpe_tf.demo import web
from tests.data.test_image_files import png_header

webdriver = pytest.importorskip('selenium.webdriver', reason='no Selenium here: pip install "dhpe_tf[test]"')
BROWSER, DRIVER = shutil.which('chromium'), shutil.which('chromedriver')
pytestmark = [pytest.mark.slow, pytest.mark.skipif(
    not (BROWSER and DRIVER), reason='no Chromium here: apt-get install chromium chromium-driver')]

FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--use-angle=swiftshader', '--enable-unsafe-swiftshader',
         '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update',
         '--disable-sync', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
         '--window-size=1240,1000']
PATIENCE_S = 120  # of a wait on a machine with other work
TAB, LEFT, RIGHT = '\ue004', '\ue012', '\ue014'  # WebDriver's codes of keys


class Page:
  """The page in a browser of its own."""

  def __init__(self, address, folder):
    """Opens it; downloads go to the folder, which also holds the browser's profile."""
    from selenium.webdriver.chrome.service import Service
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in [*FLAGS, f'--user-data-dir={folder / "profile"}']:
      options.add_argument(flag)
    options.add_experimental_option('prefs', {'download.default_directory': str(folder)})
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    self.driver = webdriver.Chrome(service=Service(DRIVER), options=options)
    self.folder, self.address = folder, address
    self.driver.get(address)
    self.wait(lambda: self.driver.execute_script('return document.body.dataset.ready'))

  def at(self, name):
    """The element of an id."""
    return self.driver.find_element('id', name)

  def wait(self, until):
    """Waits until a function gives something true, and returns that."""
    from selenium.webdriver.support.ui import WebDriverWait
    return WebDriverWait(self.driver, PATIENCE_S).until(lambda _: until())

  def choose(self, data, name='picture.png'):
    """Chooses a file of some bytes."""
    path = self.folder / name
    path.write_bytes(data)
    self.at('file').send_keys(str(path))

  def told(self):
    """The status with an answer, or an error, once one of them is there."""
    def text():
      status, error = self.at('status').text, self.at('error')
      return error.text if error.is_displayed() else status if 'hand:' in status or 'hands:' in status else ''
    return self.wait(text)

  def view(self):
    """Pixels [H, W, 3] of the view in 3D."""
    return np.asarray(Image.open(io.BytesIO(self.at('view').screenshot_as_png)).convert('RGB')).astype(int)

  def errors(self):
    """What the console holds of errors."""
    return [entry['message'] for entry in self.driver.get_log('browser') if entry['level'] == 'SEVERE']

  def requested(self):
    """The addresses of all requests so far that went over a network."""
    messages = [json.loads(entry['message'])['message'] for entry in self.driver.get_log('performance')]
    urls = [message['params']['request']['url'] for message in messages
            if message['method'] == 'Network.requestWillBeSent']
    return [url for url in urls if url.split(':')[0] in ('http', 'https', 'ws', 'wss')]


@pytest.fixture(scope='module')
def address(answers):
  answers.warm_up().join()
  with web.running(answers) as running:
    yield running


@pytest.fixture
def open_page(address, tmp_path):
  """Opens a page, each in a new browser; they end with the test."""
  with contextlib.ExitStack() as opened:
    def open_one(name='one'):
      (tmp_path / name).mkdir()
      page = Page(address, tmp_path / name)
      opened.callback(page.driver.quit)
      return page
    yield open_one


def changed(one, other):
  """The number of pixels that differ visibly."""
  return int((np.abs(one - other).max(-1) > 16).sum())


def test_a_hand_appears_and_turns_and_is_saved(open_page, encoded):
  page = open_page()
  empty = page.view()
  page.driver.execute_script('''
      window.spun = [];
      new MutationObserver(() => window.spun.push(!document.getElementById('spinner').hidden)).observe(
        document.getElementById('spinner'), {attributes: true});''')
  page.choose(encoded)
  assert page.told().startswith('1 hand: right')
  assert page.driver.execute_script('return window.spun') == [True, False]
  assert page.at('overlay').get_attribute('alt') == 'The photograph with a mesh over 1 hand'
  assert page.driver.execute_script("return document.getElementById('overlay').naturalWidth") > 0
  assert len(page.driver.find_elements('css selector', '#joints meter')) == 21 and '%' in page.at('score').text
  page.wait(lambda: changed(empty, page.view()) > 2000)
  first = page.view()
  page.wait(lambda: changed(first, page.view()) > 500)

  page.at('turning').click()
  time.sleep(0.5)  # what was turned before is drawn
  still = page.view()
  assert changed(still, page.view()) == 0
  page.at('view').send_keys(LEFT * 6)
  page.wait(lambda: changed(still, page.view()) > 500)
  turned = page.view()
  page.at('meshShown').click()
  page.wait(lambda: changed(turned, page.view()) > 500)

  for button in page.driver.find_elements('class name', 'download'):
    button.click()
  files = [page.folder / name for name in ('hand.obj', 'hand.glb', 'hand.json')]
  page.wait(lambda: all(file.exists() for file in files))
  assert files[0].read_text().count('\nv ') == 778 and files[1].read_bytes()[:4] == b'glTF'
  assert json.loads(files[2].read_text())['hands'][0]['side'] == 'right'
  assert not page.errors()
  requested = page.requested()
  assert any('/hands?' in url for url in requested)
  assert all(url.startswith(page.address) for url in requested), requested


def test_the_keyboard_is_enough(open_page, encoded):
  page = open_page()
  reached = []
  for _ in range(20):
    webdriver.ActionChains(page.driver).send_keys(TAB).perform()
    reached.append(page.driver.switch_to.active_element.get_attribute('id'))
  assert {'file', 'camera', 'covered', 'steps', 'meshShown', 'jointsShown', 'turning', 'view'} <= set(reached)
  page.choose(encoded)
  page.told()
  page.at('steps').send_keys(RIGHT)
  assert page.at('stepsTold').text == '3 steps'
  page.wait(lambda: 'Looking' not in page.at('status').text)
  assert page.told().startswith('1 hand')
  assert any('steps=3' in url for url in page.requested())


def test_limits_hold_and_errors_are_shown(open_page, encoded):
  page = open_page()
  page.choose(b'x' * (2**20 + 1))
  assert page.told() == 'The file has 1.1 MiB; the limit is 1 MiB. Choose a smaller one.'
  assert not any('/hands' in url for url in page.requested())
  for data, message in [(png_header(9000, 9000), 'The picture has too many pixels'), (b'no picture', 'not a picture'),
                        (image_files.encode(np.full([90, 90, 3], 128, np.uint8), 'PNG'), 'No hand was found')]:
    page.driver.execute_script("document.getElementById('error').hidden = true")
    page.choose(data)
    assert message in page.told()
    assert not page.at('spinner').is_displayed()
  page.choose(encoded)
  page.wait(lambda: page.at('status').text.startswith('1 hand: right'))
  assert not page.at('error').is_displayed()


def test_the_webcam_gives_a_picture(open_page):
  page = open_page()
  page.at('camera').click()
  page.wait(lambda: page.driver.execute_script("return document.getElementById('video').videoWidth"))
  page.at('shoot').click()
  assert 'No hand was found' in page.told()  # the browser's pretended webcam shows a clock
  assert not page.at('live').is_displayed() and page.at('overlay').is_displayed()


def test_two_browsers_at_once(open_page, hand, encoded):
  pages = [open_page('one'), open_page('two')]
  for page, data in zip(pages, [encoded, image_files.encode(hand[0][:, ::-1], 'PNG')]):
    page.choose(data)
  assert [page.told().split()[2] for page in pages] == ['right', 'left']
  for page in pages:
    first = page.view()
    page.wait(lambda page=page, first=first: changed(first, page.view()) > 500)
    assert not page.errors()
