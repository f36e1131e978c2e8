"""predict on whole pictures: hands found, in every form that picture files have."""
import json
import os

import numpy as np
import pytest
from PIL import Image

from dhpe_tf import command_line, predict
from dhpe_tf.finding import finder
from dhpe_tf.serving import exporter, model_card
from tests.data.test_image_files import png_header
from tests.finding.hands import GROUND, SIDE, rendered
from tests.serving import toy


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
  folder = tmp_path_factory.mktemp('exported') / 'toy'
  exporter.export(toy.build_toy_model(), str(folder), model_card.describe(toy.TASK, 'toy'))
  return folder


@pytest.fixture(scope='module')
def clear():
  """A picture whose hand is surely found, and the middle of the hand's joints, px."""
  search = finder.HandFinder()
  pictures, joints_px = rendered()
  presences = [max(search.find(picture)[0].presence.numpy(), default=0.) for picture in pictures]
  best = int(np.argmax(presences))
  return pictures[best], (joints_px[best].min(0) + joints_px[best].max(0)) / 2


def run(model, path, output, *arguments):
  return command_line.call(predict.main, ['predict', f'--model={model}', f'--input={path}', f'--output={output}',
                                          *arguments], predict._FLAGS)


def hands_of(output, stem='hand'):
  return json.loads((output / f'{stem}.json').read_text())['hands']


def middle(hand):
  left, top, width, height = hand['box']
  return np.array([left + width / 2, top + height / 2])


def save_sixteen_bit(picture, path):
  Image.fromarray(np.asarray(Image.fromarray(picture).convert('L')).astype(np.uint16) * 257).save(path)


def save_turned(picture, path):
  exif = Image.Exif()
  exif[0x0112] = 6  # to be turned clockwise by 90 degrees when it is shown
  Image.fromarray(np.rot90(picture).copy()).save(path, exif=exif, quality=95)


def save_transparent(picture, path):
  Image.fromarray(np.dstack([picture, np.full(picture.shape[:2], 200, np.uint8)])).save(path)


def save_animated(picture, path):
  frames = [Image.fromarray(frame) for frame in (picture, np.full_like(picture, GROUND))]
  frames[0].save(path, save_all=True, append_images=frames[1:])


def save_for_print(picture, path):
  Image.fromarray(picture).convert('CMYK').save(path)


FORMS = {'hand.png': save_sixteen_bit, 'hand.jpg': save_turned, 'hand.webp': save_transparent,
         'hand.gif': save_animated, 'hand.jpeg': save_for_print}


@pytest.mark.parametrize('name', FORMS)
def test_the_hand_is_found_in_every_form_of_the_picture(exported, clear, tmp_path, name):
  picture, center_px = clear
  FORMS[name](picture, tmp_path / name)
  assert run(exported, tmp_path / name, tmp_path / 'out') == 0
  hand, = hands_of(tmp_path / 'out')
  assert np.linalg.norm(middle(hand) - center_px) < 0.1 * SIDE


def test_a_name_of_any_bytes_stops_nothing(exported, clear, tmp_path):
  (tmp_path / 'in').mkdir()
  for name in (b'a\xff.png', b'b.png'):
    Image.fromarray(clear[0]).save(tmp_path / 'in' / os.fsdecode(name))
  assert run(exported, tmp_path / 'in', tmp_path / 'out') == 0
  named = [json.loads(path.read_text())['image'] for path in sorted((tmp_path / 'out').glob('*.json'))]
  assert named == ['a\\xff.png', 'b.png']


@pytest.mark.slow
def test_a_crowd_and_a_half_hand(exported, clear, tmp_path):
  picture, center_px = clear
  crowd = np.concatenate([np.concatenate([picture, picture[:, ::-1]], axis=1)] * 2)
  Image.fromarray(crowd).save(tmp_path / 'hand.png')
  assert run(exported, tmp_path / 'hand.png', tmp_path / 'out') == 0
  hands = hands_of(tmp_path / 'out')
  mirrored = [SIDE * 2 - center_px[0], center_px[1]]
  wanted = [center_px, mirrored, center_px + [0, SIDE], mirrored + np.array([0, SIDE])]
  assert len(hands) == 4
  for place in wanted:
    assert min(np.linalg.norm(middle(hand) - place) for hand in hands) < 0.1 * SIDE
  sides = {hand['side'] for hand in hands if middle(hand)[0] < SIDE}
  assert sides.isdisjoint(hand['side'] for hand in hands if middle(hand)[0] > SIDE)
  assert {path.suffix for path in (tmp_path / 'out').glob('hand_[234].*')} == {'.obj'}
  # A half hand is found, or the picture is named: never a crash, and nothing half-written.
  Image.fromarray(picture[:, :int(center_px[0])]).save(tmp_path / 'half.png')
  status = run(exported, tmp_path / 'half.png', tmp_path / 'half')
  written = {path.suffix for path in (tmp_path / 'half').glob('*')}
  assert written == ({'.jpg', '.obj', '.json'} if status == 0 else set())


def test_a_given_box_and_side_override(exported, clear, tmp_path):
  picture, _ = clear
  Image.fromarray(picture).save(tmp_path / 'hand.png')
  assert run(exported, tmp_path / 'hand.png', tmp_path / 'out', '--side=left') == 0
  assert run(exported, tmp_path / 'hand.png', tmp_path / 'other', '--side=right', '--box=1,2,30,40', '--nooverlay') == 0
  assert hands_of(tmp_path / 'out')[0]['side'] == 'left'
  hand, = hands_of(tmp_path / 'other')
  assert hand['side'] == 'right' and hand['box'] == [-4, 2, 40, 40]
  assert {path.name for path in (tmp_path / 'other').iterdir()} == {'hand.json', 'hand.obj'}


@pytest.mark.parametrize('content, message', [(png_header(10000, 10000), 'its header announces'),
                                              (png_header(1, 1), 'the picture is damaged or cut off')])
def test_headers_that_lie(exported, tmp_path, content, message, capsys):
  (tmp_path / 'hand.png').write_bytes(content)
  assert run(exported, tmp_path / 'hand.png', tmp_path / 'out') == 1
  error = capsys.readouterr().err.splitlines()
  assert len(error) == 1 and f'hand.png: {message}' in error[0] and not (tmp_path / 'out').exists()


def test_a_picture_of_one_pixel(exported, tmp_path, capsys):
  Image.fromarray(np.zeros([1, 1, 3], np.uint8)).save(tmp_path / 'hand.png')
  assert run(exported, tmp_path / 'hand.png', tmp_path / 'out') == 1
  assert 'hand.png: no hand found' in capsys.readouterr().err
