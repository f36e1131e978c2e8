import contextlib
import os
import subprocess
import sys

import numpy as np
import pytest

from dhpe_tf.data import video_files
from dhpe_tf.errors import UserError

av = pytest.importorskip('av')

REAL_VIDEO = os.environ.get('DHPE_REAL_VIDEO', '')


def _picture(number, size=(48, 64)):
  """A smooth picture, which the codec keeps well; brighter from frame to frame, red left, green at the top."""
  picture = np.zeros([*size, 3])
  picture[..., 0] = np.linspace(220, 30, size[1])
  picture[..., 1] = np.linspace(200, 20, size[0])[:, np.newaxis]
  picture[..., 2] = 20 * number
  return picture.astype(np.uint8)


def _write(path, count=10, size=(48, 64), rate_hz=10., times=None):
  with video_files.write_video(path, size, rate_hz) as writer:
    for k in range(count):
      writer.write(_picture(k, size), None if times is None else times[k])
  return path


def _read(path, **options):
  with video_files.read_frames(path, **options) as reader:
    return reader, list(reader)


@pytest.mark.parametrize('ending', ['.mp4', '.mkv', '.mov'])
@pytest.mark.parametrize('rate_hz', [10., 30000 / 1001])
def test_what_is_written_is_read_back(tmp_path, ending, rate_hz):
  path = _write(tmp_path / f'a{ending}', rate_hz=rate_hz)
  reader, frames = _read(path)
  assert reader.size == (48, 64) and reader.fault is None and len(frames) == 10
  assert reader.num_frames in ((10,) if ending != '.mkv' else (10, None))
  assert abs(reader.rate_hz - rate_hz) < 0.01 * rate_hz
  np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(10) / rate_hz, atol=2e-3)
  for k, frame in enumerate(frames):
    assert frame.picture.dtype == np.uint8 and frame.picture.flags['C_CONTIGUOUS']
    assert np.abs(frame.picture.astype(int) - _picture(k)).mean() < 4
  assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize('color', [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 120, 40), (128, 128, 128)])
def test_colors_survive(tmp_path, color):
  with video_files.write_video(tmp_path / 'a.mp4', (32, 32), 10) as writer:
    writer.write(np.full([32, 32, 3], color, np.uint8))
  _, (frame,) = _read(tmp_path / 'a.mp4')
  assert np.abs(frame.picture.astype(int) - color).max() <= 4
  # Stated in the file, so that other programs need not guess.
  with av.open(str(tmp_path / 'a.mp4')) as container:
    assert next(container.decode(video=0)).colorspace == 1


def test_odd_sizes_grow_by_one(tmp_path):
  _, frames = _read(_write(tmp_path / 'a.mp4', 2, (47, 63)))
  assert frames[0].picture.shape == (48, 64, 3)
  np.testing.assert_allclose(frames[0].picture[:47, :63].astype(int), _picture(0, (47, 63)), atol=25)
  np.testing.assert_allclose(frames[0].picture[47].astype(int), frames[0].picture[46], atol=12)


def test_times_of_an_uneven_video_survive(tmp_path):
  times = [0.5, 0.6, 0.65, 1.5, 3.]
  _, frames = _read(_write(tmp_path / 'a.mp4', 5, times=times))
  np.testing.assert_allclose([frame.time_s for frame in frames], np.array(times) - 0.5, atol=1e-3)


def test_times_that_stand_still_are_moved_on(tmp_path):
  _, frames = _read(_write(tmp_path / 'a.mp4', 4, times=[0., 0.1, 0.1, 0.05]))
  assert len(frames) == 4 and (np.diff([frame.time_s for frame in frames]) > 0).all()


def test_frames_are_given_once_and_one_at_a_time(tmp_path):
  with video_files.read_frames(_write(tmp_path / 'a.mp4')) as reader:
    frames = iter(reader)
    assert next(frames).time_s == 0 and reader.fault is None
    assert len(list(frames)) == 9
    assert not list(reader)


MATRIX = [65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30]
# The turn that a telephone notes -> how numpy turns the picture back.
TURNS = {'clockwise': ([0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30], -1),
         'counter-clockwise': ([0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30], 1),
         'upside down': ([-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30], 2)}


@pytest.mark.parametrize('turn', TURNS)
def test_videos_of_turned_telephones_are_upright(tmp_path, turn):
  matrix, quarters = TURNS[turn]
  data = _write(tmp_path / 'a.mp4', 3).read_bytes()
  plain, turned = (b''.join(entry.to_bytes(4, 'big', signed=True) for entry in entries) for entries in (MATRIX, matrix))
  place = data.index(plain, data.index(b'tkhd'))
  (tmp_path / 'b.mp4').write_bytes(data[:place] + turned + data[place + len(turned):])
  reader, frames = _read(tmp_path / 'b.mp4')
  expected = np.rot90(_picture(2), quarters)
  assert reader.size == expected.shape[:2]
  assert np.abs(frames[2].picture.astype(int) - expected).mean() < 4


@pytest.mark.parametrize('ending', ['.mp4', '.mkv'])
def test_a_video_cut_off_gives_its_frames_and_says_so(tmp_path, ending):
  random = np.random.default_rng(0)
  with video_files.write_video(tmp_path / f'a{ending}', (48, 64), 10) as writer:
    for _ in range(40):
      writer.write(random.integers(0, 255, (48, 64, 3), np.uint8))
  data = (tmp_path / f'a{ending}').read_bytes()
  (tmp_path / f'b{ending}').write_bytes(data[:len(data) // 2])
  reader, frames = _read(tmp_path / f'b{ending}')
  assert 10 < len(frames) < 30
  whole = []
  with contextlib.suppress(av.InvalidDataError), av.open(str(tmp_path / f'b{ending}')) as container:
    whole.extend(packet for packet in container.demux(video=0) if packet.size and not packet.is_corrupt)
  assert len(frames) >= len(whole) - 1, 'those that the decoder held back at the end are there, too'
  assert f'b{ending}' in reader.fault and 'cut off' in reader.fault and f'{len(frames)}' in reader.fault
  assert '\n' not in reader.fault


def test_damage_in_the_middle_loses_little(tmp_path):
  data = bytearray(_write(tmp_path / 'a.mkv', 40).read_bytes())
  middle = len(data) // 2
  data[middle:middle + 20] = bytes(20)
  (tmp_path / 'a.mkv').write_bytes(data)
  reader, frames = _read(tmp_path / 'a.mkv')
  assert len(frames) >= 15
  assert reader.fault is None or 'damaged' in reader.fault


def test_files_cut_anywhere_and_changed_anywhere_end_in_frames_or_in_a_user_error(tmp_path):
  data = _write(tmp_path / 'a.mp4', 5).read_bytes()
  random = np.random.default_rng(0)
  outcomes = set()
  for turn in range(60):
    changed = bytearray(data[:random.integers(1, len(data))] if turn % 2 else data)
    for place in random.integers(0, len(changed), 8):
      changed[place] = random.integers(256)
    (tmp_path / 'b.mp4').write_bytes(changed)
    try:
      reader, frames = _read(tmp_path / 'b.mp4')
      assert frames and all(frame.picture.shape == (*reader.size, 3) for frame in frames)
      outcomes.add('frames')
    except UserError as error:
      assert 'b.mp4' in str(error)
      outcomes.add('error')
  assert outcomes == {'frames', 'error'}


def _audio_only(path):
  with av.open(str(path), 'w') as container:
    stream = container.add_stream('aac', rate=8000)
    frame = av.AudioFrame.from_ndarray(np.zeros([1, 1024], np.float32), format='fltp', layout='mono')
    frame.sample_rate = 8000
    container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


@pytest.mark.parametrize('make, message', [
    (lambda path: path.write_text('not a video, whatever its name says. ' * 30), 'not a video'),
    (lambda path: path.write_bytes(b''), 'empty'),
    (lambda path: path.mkdir(), 'no plain file'),
    (lambda path: None, 'cannot be read'),
    (_audio_only, 'only audio'),
    (lambda path: path.write_text(f'ffconcat version 1.0\nfile {path.parent / "whole.mp4"}\n'), 'not a video'),
    (lambda path: path.write_text(f'#EXTM3U\n#EXTINF:10,\n{path.parent / "whole.mp4"}\n'), 'not a video')])
def test_what_is_no_video_is_named(tmp_path, make, message):
  _write(tmp_path / 'whole.mp4', 2)
  make(tmp_path / 'other.mp4')
  with pytest.raises(UserError, match=f'other.mp4.*{message}|{message}.*other.mp4'):
    video_files.read_frames(tmp_path / 'other.mp4')


def test_a_name_is_never_taken_for_an_address():
  with pytest.raises(UserError, match='cannot be read'):
    video_files.read_frames('http://127.0.0.1:9/a.mp4')


def test_frames_larger_than_the_limit(tmp_path):
  path = _write(tmp_path / 'a.mp4')
  with pytest.raises(UserError, match='announces 64 x 48 pixels, the limit is 3000'):
    video_files.read_frames(path, max_pixels=3000)
  assert len(_read(path, max_pixels=64 * 48)[1]) == 10
  with pytest.raises(UserError, match='a.mp4'):
    video_files.read_frames(path, max_bytes=100)


def test_frames_that_grow_behind_the_header(tmp_path):
  parts = []
  for size in ((48, 64), (480, 640)):
    with av.open(str(tmp_path / 'part.h264'), 'w', format='h264') as container:
      stream = container.add_stream('libx264', rate=10)
      stream.height, stream.width, stream.pix_fmt = *size, 'yuv420p'
      for k in range(5):
        container.mux(stream.encode(av.VideoFrame.from_ndarray(_picture(k, size), format='rgb24')))
      container.mux(stream.encode(None))
    parts.append((tmp_path / 'part.h264').read_bytes())
  (tmp_path / 'a.h264').write_bytes(b''.join(parts))
  reader, frames = _read(tmp_path / 'a.h264')
  assert len(frames) == 10 and {frame.picture.shape for frame in frames} == {(48, 64, 3)} and reader.fault is None
  reader, frames = _read(tmp_path / 'a.h264', max_pixels=10_000)
  assert len(frames) == 5 and 'damaged' in reader.fault


def test_a_failed_video_leaves_nothing_and_keeps_the_old_one(tmp_path):
  old = _write(tmp_path / 'a.mp4', 2).read_bytes()
  with pytest.raises(RuntimeError), video_files.write_video(tmp_path / 'a.mp4', (48, 64), 10) as writer:
    for k in range(10):
      writer.write(_picture(k))
    raise RuntimeError
  assert os.listdir(tmp_path) == ['a.mp4'] and (tmp_path / 'a.mp4').read_bytes() == old


def test_outputs_that_cannot_be_written(tmp_path):
  (tmp_path / 'folder.mp4').mkdir()
  (tmp_path / 'file').write_text('')
  for name, message in (('folder.mp4', 'is a folder'), ('a.txt', 'must end in'), ('a', 'must end in'),
                        ('file/a.mp4', 'cannot write')):
    with pytest.raises(UserError, match=message), video_files.write_video(tmp_path / name, (48, 64), 10) as writer:
      writer.write(_picture(0))
  with pytest.raises(UserError, match='a.mp4: no frame'), video_files.write_video(tmp_path / 'a.mp4', (48, 64), 10):
    pass
  assert sorted(os.listdir(tmp_path)) == ['file', 'folder.mp4']


@pytest.mark.parametrize('picture', [_picture(0, (48, 62)), _picture(0).astype(np.float32), _picture(0)[..., 0]])
def test_frames_of_another_kind_are_refused(tmp_path, picture):
  with pytest.raises(ValueError, match='expected uint8'), video_files.write_video(
      tmp_path / 'a.mp4', (48, 64), 10) as writer:
    writer.write(picture)


def test_no_camera(tmp_path):
  with pytest.raises(UserError, match='no camera.*connect one'):
    video_files.read_camera(str(tmp_path / 'video7'))
  with pytest.raises(UserError, match='no camera'):
    video_files.read_camera(driver='no such driver')


def test_a_camera_gives_frames():
  # FFmpeg's generator of test pictures is an input device as a camera is.
  with video_files.read_camera('testsrc=size=64x48:rate=10:duration=0.5', driver='lavfi') as reader:
    frames = list(reader)
  assert reader.size == (48, 64) and reader.num_frames is None and len(frames) == 5 and reader.fault is None
  np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(5) / 10, atol=1e-6)


def test_the_library_is_loaded_only_when_needed():
  code = 'import sys, dhpe_tf.data.video_files; sys.exit("av" in sys.modules)'
  assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


def test_without_the_library_the_message_says_what_to_install(tmp_path, monkeypatch):
  path = _write(tmp_path / 'a.mp4', 2)
  monkeypatch.setitem(sys.modules, 'av', None)
  with pytest.raises(UserError, match='pip install'):
    video_files.read_frames(path)


@pytest.mark.skipif(not os.path.exists(REAL_VIDEO), reason='DHPE_REAL_VIDEO names no video')
def test_a_real_video():
  with video_files.read_frames(REAL_VIDEO) as reader:
    count = sum(frame.picture.shape == (*reader.size, 3) for frame in reader)
  assert count == reader.num_frames and reader.fault is None


def test_a_name_that_is_no_utf_8(tmp_path):
  path = os.path.join(tmp_path, os.fsdecode(b'a\xff.mp4'))
  _write(path)
  assert os.listdir(os.fsencode(tmp_path)) == [b'a\xff.mp4']
  reader, frames = _read(path)
  assert len(frames) == 10 and reader.name == f'{tmp_path}/a\\xff.mp4'
  with open(path, 'wb') as file:
    file.write(b'no video')
  with pytest.raises(UserError) as caught:
    _read(path)
  assert str(caught.value).startswith(f'{tmp_path}/a\\xff.mp4: not a video')
  with pytest.raises(UserError, match='a folder whose name is text in UTF-8'):
    _write(os.path.join(tmp_path, os.fsdecode(b'\xff'), 'a.mp4'))
