"""`predict` on videos: with a toy model and a finder of bright squares, and once with the real networks."""
import json
import signal

import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf import predict
from dhpe_tf.data import video_files
from dhpe_tf.finding import finder
from dhpe_tf.inference import clips, files, predictor
from dhpe_tf.methods.dhpe.landmarks import model
from dhpe_tf.serving import exporter, model_card
from dhpe_tf.tasks.hand.task import HandTask
from tests.commands import call
from tests.finding import hands
from tests.finding.test_finder import placed
from tests.serving import toy
from tests.visualization import test_gltf

pytest.importorskip('av')

SIZE, RATE_HZ = (60, 90), 10.


class BrightFinder:
  """Finds a hand where the picture is bright: its joints are spread over the square."""

  def find(self, picture):
    return self._look(picture), tf.constant(0.25)

  def follow(self, picture, hands):
    del hands
    return self._look(picture)

  def _look(self, picture):
    rows, columns = np.nonzero(np.asarray(picture).mean(-1) > 120)
    count = int(len(rows) > 0)
    spread = np.random.default_rng(0).uniform(0, 1, (count, 21, 2))
    if count:
      low, high = (np.array([limit(columns), limit(rows)]) for limit in (np.min, np.max))
      spread = low + spread * (high - low)
    ones = tf.ones([count])
    return finder.from_landmarks(ones, 0.1 * ones, tf.constant(spread, tf.float32))


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
  folder = tmp_path_factory.mktemp('exported') / 'toy'
  exporter.export(toy.build_toy_model(), str(folder), model_card.describe(toy.TASK, 'toy'))
  return folder


@pytest.fixture(autouse=True)
def bright_finder(monkeypatch):
  monkeypatch.setattr(HandTask, 'hand_finder', lambda self: BrightFinder())


def write(path, lefts):
  """A clip of a bright square that moves, or of darkness where its place is None."""
  with video_files.write_video(path, SIZE, RATE_HZ) as writer:
    for left in lefts:
      writer.write(np.full([*SIZE, 3], 20, np.uint8) if left is None else toy.bright_picture(*SIZE, left=left))
  return path


def run(exported, given, output, *arguments):
  return call(predict, f'--model={exported}', f'--input={given}', f'--output={output}', *arguments)


def lines(path):
  return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_frame_has_a_line_and_a_picture(exported, tmp_path):
  write(tmp_path / 'a.mp4', [None, *range(20, 50, 2), None, None])
  assert run(exported, tmp_path / 'a.mp4', tmp_path / 'out') == 0
  assert {path.name for path in (tmp_path / 'out').iterdir()} == {'a.jsonl', 'a_overlay.mp4'}
  found = lines(tmp_path / 'out' / 'a.jsonl')
  assert [line['frame'] for line in found] == list(range(18))
  np.testing.assert_allclose([line['time_s'] for line in found], np.arange(18) / RATE_HZ, atol=2e-3)
  assert [[hand['id'] for hand in line['hands']] for line in found] == [[], *[[1]] * 15, [], []]
  places = np.array([np.mean(line['hands'][0]['joints_2d_px'], axis=0) for line in found if line['hands']])
  assert (np.diff(places[:, 0]) > 0).all() and np.ptp(places[:, 0]) > 15 and np.ptp(places[:, 1]) < 3
  assert {'side', 'score', 'joints_3d_m', 'box'} < found[1]['hands'][0].keys()
  frames = list(video_files.read_frames(tmp_path / 'out' / 'a_overlay.mp4'))
  assert len(frames) == 18 and frames[0].picture.shape == (*SIZE, 3)


def test_frames_for_themselves_without_smoothing_and_overlay(exported, tmp_path):
  write(tmp_path / 'a.mp4', range(20, 30))
  assert run(exported, tmp_path / 'a.mp4', tmp_path / 'out', '--nosmoothing', '--nooverlay', '--seconds=0.5') == 0
  assert [path.name for path in (tmp_path / 'out').iterdir()] == ['a.jsonl']
  found = lines(tmp_path / 'out' / 'a.jsonl')
  assert len(found) == 5 and {'pose', 'shape', 'camera'} < found[0]['hands'][0].keys()


def test_a_clip_without_a_hand_leaves_nothing(exported, tmp_path, capsys):
  write(tmp_path / 'a.mp4', [None] * 5)
  assert run(exported, tmp_path / 'a.mp4', tmp_path / 'out') == 1
  error = capsys.readouterr().err.splitlines()[-1]
  assert 'a.mp4: no hand found in 5 frames; the best candidate scored 0.25' in error
  assert not (tmp_path / 'out').exists()


def test_a_broken_tail_is_named_and_the_rest_kept(exported, tmp_path, capsys):
  data = write(tmp_path / 'a.mkv', range(20, 60)).read_bytes()
  (tmp_path / 'b.mkv').write_bytes(data[:len(data) * 2 // 3])
  count = len(list(video_files.read_frames(tmp_path / 'b.mkv')))
  assert 5 < count < 40
  assert run(exported, tmp_path / 'b.mkv', tmp_path / 'out') == 0
  warning = [line for line in capsys.readouterr().err.splitlines() if line.startswith('warning: ')]
  assert len(warning) == 1 and 'b.mkv' in warning[0] and 'cut off' in warning[0]
  assert len(lines(tmp_path / 'out' / 'b.jsonl')) == count
  assert len(list(video_files.read_frames(tmp_path / 'out' / 'b_overlay.mp4'))) == count


@pytest.mark.parametrize('name', ['a.jsonl', 'a_overlay.mp4'])
def test_a_folder_in_the_place_of_a_result_stays(exported, tmp_path, capsys, name):
  write(tmp_path / 'a.mp4', range(20, 25))
  (tmp_path / 'out' / name / 'kept').mkdir(parents=True)
  assert run(exported, tmp_path / 'a.mp4', tmp_path / 'out') == 1
  assert f'{name}: it is a folder' in capsys.readouterr().err
  assert [path.name for path in (tmp_path / 'out').iterdir()] == [name] and (tmp_path / 'out' / name / 'kept').is_dir()


@pytest.mark.parametrize('arguments, message', [
    (['--box=1,2,3,4'], '--box and --joints are for photographs'), (['--gltf'], '--gltf needs a method whose hand'),
    (['--output={}'], 'results beside photographs'), (['--seconds=0'], 'seconds')])
def test_flags_that_do_not_fit(exported, tmp_path, capsys, arguments, message):
  write(tmp_path / 'a.mp4', [20])
  arguments = [argument.format(tmp_path) for argument in arguments]
  assert run(exported, tmp_path / 'a.mp4', tmp_path / 'out', *arguments) == 1
  assert message in capsys.readouterr().err and not (tmp_path / 'out').exists()


def test_no_camera_and_no_video(exported, tmp_path, capsys):
  assert run(exported, 'camera:977', tmp_path / 'out') == 1
  assert 'no camera can be opened' in capsys.readouterr().err
  (tmp_path / 'a.mp4').write_text('no video')
  assert run(exported, tmp_path / 'a.mp4', tmp_path / 'out') == 1
  assert 'a.mp4: not a video' in capsys.readouterr().err


def test_a_camera_runs_until_it_is_interrupted(exported, tmp_path, monkeypatch):
  write(tmp_path / 'a.mp4', range(20, 60))

  class Camera(video_files.FrameReader):
    def __iter__(self):
      for number, frame in enumerate(super().__iter__()):
        if number == 10:
          signal.raise_signal(signal.SIGINT)
        yield frame

  def open_clip(path):
    reader = video_files.read_frames(tmp_path / 'a.mp4')
    reader.__class__ = Camera
    reader.name = files.camera_of(path)
    return reader
  monkeypatch.setattr(files, 'open_clip', open_clip)
  usual = signal.getsignal(signal.SIGINT)
  assert run(exported, '/dev/video7', tmp_path / 'out') == 0
  assert signal.getsignal(signal.SIGINT) is usual
  found = lines(tmp_path / 'out' / 'video7.jsonl')
  frames = list(video_files.read_frames(tmp_path / 'out' / 'video7_overlay.mp4'))
  assert 5 <= len(found) == len(frames) < 40


def test_what_fails_in_the_background_fails_here():
  closed = []

  def items(count):
    try:
      yield from range(count)
      raise KeyError('lost')
    finally:
      closed.append(count)
  found = []
  with pytest.raises(KeyError, match='lost'):
    found.extend(clips.in_background(clips.in_background(items(20), 2), 2))
  endless = clips.in_background(items(10 ** 9), 2)
  assert [next(endless) for _ in range(3)] == [0, 1, 2]
  endless.close()
  assert closed == [20, 10 ** 9]


@pytest.fixture(scope='module')
def landmarks():
  return predictor.from_method(model.landmark_model(HandTask()))


@pytest.mark.slow
def test_the_real_networks_follow_a_rendered_hand(landmarks, tmp_path, monkeypatch):
  monkeypatch.undo()
  picture, joints_px = (values[0] for values in hands.rendered())
  lefts = np.arange(0, 100, 5)
  with video_files.write_video(tmp_path / 'a.mp4', (256, 400), 30.) as writer:
    for left in lefts:
      writer.write(placed(picture, 256, 400, 0, left))
  options = predict.command_line.task_flags(landmarks.task.define_flags, 'predict', ['predict', '--gltf'])
  landmarks.task.check_options(options)
  with video_files.read_frames(tmp_path / 'a.mp4') as reader:
    clip = landmarks.task.open_clip('a.mp4', options, landmarks.card)
    clips.predict(reader, landmarks, clip, str(tmp_path / 'out'), clip.refine_steps)
  found = lines(tmp_path / 'out.jsonl')
  assert [[entry['id'] for entry in line['hands']] for line in found] == [[1]] * len(lefts)
  first, last = (line['hands'][0] for line in (found[0], found[-1]))
  truth = joints_px + [lefts[-1], 0]
  away = np.linalg.norm(np.array(last['joints_2d_px']) - truth, axis=-1).mean()
  assert away < 0.2 * np.ptp(joints_px, axis=0).max()
  assert first['side'] == last['side'] and np.abs(np.subtract(first['shape'], last['shape'])).max() < 1.
  document, _ = test_gltf.read(tmp_path / 'out.glb')
  paths = [channel['target']['path'] for channel in document['animations'][0]['channels']]
  assert paths.count('rotation') == 16 and paths.count('translation') == 1
