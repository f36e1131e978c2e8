"""Videos as streams of RGB pictures: files and cameras to read, files to write.

Files come from anywhere: only containers of moving pictures are opened, no playlists or scripts that name other files
or addresses, and the decoder refuses pictures larger than a limit before it makes room for them.
"""
import contextlib
import fractions
import os
import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple, Optional

import gin
import numpy as np

from dhpe_tf.errors import UserError
from dhpe_tf.files import PathLike, atomic_path, check_input, check_output, printable

EXTENSIONS = ('.mp4', '.mov', '.m4v', '.mkv', '.webm', '.avi')
# Containers that `write_video` writes; the first ones can have their index at the start.
_INDEXED_EXTENSIONS = ('.mp4', '.mov', '.m4v')
WRITTEN_EXTENSIONS = (*_INDEXED_EXTENSIONS, '.mkv')

# FFmpeg's names of the containers that are opened.
_CONTAINERS = 'mov,matroska,avi,mpegts,mpeg,flv,ogg,asf,mjpeg,h264,hevc,gif'
# A stream that does not state its rate is taken to have this one.
_USUAL_RATE_HZ = 30.
# Times are written in this unit, in which the usual frame rates are whole numbers.
_TICKS_PER_S = 90_000
# FFmpeg's numbers for the colours of high-definition television.
_BT709, _LIMITED_RANGE = 1, 1
# A video that ends earlier than announced by more than this is reported as cut off; the last pictures' own durations
# are often not stated.
_MISSING_S = 0.5


def _library() -> Any:
  """The module `av`, which takes a while to load and is needed for videos only."""
  try:
    import av
  except ImportError as error:
    raise UserError(f'videos need the package av, which cannot be loaded ({error}); pip install "av>=18" under Python '
                    '3.11 or later.') from error
  return av


class Frame(NamedTuple):
  """A picture of a video.

  Attributes:
    picture: uint8 [H, W, 3], RGB, upright; all of a video have one size.
    time_s: seconds since the first picture; strictly increasing.
  """

  picture: np.ndarray
  time_s: float


class FrameReader:
  """Gives the frames of a video one after another, once; a context manager that closes the video.

  Attributes:
    name: of the video in messages.
    size: (height, width) of the pictures in pixels, after the rotation that phones note in their files.
    rate_hz: mean number of frames a second, as far as the video states it.
    num_frames: number of frames that the video announces, or None if it does not.
    fault: None, or, once the frames are used up, one sentence on what is wrong with the video if not all frames could
      be read.
  """

  def __init__(self, container: Any, name: str, max_pixels: int):
    self.name = name
    self.fault: Optional[str] = None
    self._container = container
    self._stream = container.streams.video[0]
    # The size may change behind the header, which is checked elsewhere.
    self._stream.codec_context.options = {'max_pixels': str(max_pixels)}
    self._given, self._end_s, self._damage = 0, 0., ''
    self._frames = self._decoded()
    self._first = next(self._frames, None)
    if self._first is None:
      raise UserError(f'{name}: no picture of this video can be decoded'
                      f'{self._damage and f" ({self._damage})"}; get a whole copy, or convert it to H.264 in .mp4.')
    turned = _quarter_turns(self._first) % 2
    self.size = (self._first.width, self._first.height) if turned else (self._first.height, self._first.width)
    rate = self._stream.average_rate or self._stream.guessed_rate
    self.rate_hz = float(rate) if rate and 0 < rate <= 1000 else _USUAL_RATE_HZ
    self.num_frames: Optional[int] = self._stream.frames or None

  def __enter__(self) -> 'FrameReader':
    return self

  def __exit__(self, *_: object) -> None:
    self.close()

  def close(self) -> None:
    """Closes the file or camera; no further frames can be read."""
    self._container.close()

  def __iter__(self) -> Iterator[Frame]:
    """Yields each `Frame`, read when it is asked for. A damaged or cut-off video ends early and sets `fault`.

    Raises:
      UserError: pictures in a form that cannot be converted to RGB.
    """
    frame, self._first = self._first, None
    if frame is None:
      return
    start_s = last_s = None
    turns, width, height = _quarter_turns(frame), frame.width, frame.height
    while frame is not None:
      time_s = frame.time if frame.time is not None else (self._given / self.rate_hz)
      start_s = time_s if start_s is None else start_s
      time_s -= start_s
      if last_s is not None and time_s <= last_s:
        time_s = last_s + 1 / self.rate_hz  # the video's own times run backwards
      last_s = time_s
      self._given += 1
      self._end_s = time_s + float((frame.duration or 0) * (frame.time_base or 0))
      picture = _to_rgb(frame, width, height, self.name)
      yield Frame(np.ascontiguousarray(np.rot90(picture, turns)), time_s)
      frame = next(self._frames, None)
    self.fault = self._find_fault()

  def _decoded(self) -> Iterator[Any]:
    """Yields the decoded frames; keeps what FFmpeg said of damaged parts in `_damage` and goes on behind them."""
    av = _library()
    packets = self._container.demux(self._stream)
    while True:
      try:
        packet = next(packets, None)
        if packet is None:
          return
        frames = self._decode(packet)
      except (av.FFmpegError, OSError) as error:
        # The container itself is broken: nothing follows.
        self._damage = _reason(error)
        return
      yield from frames

  def _decode(self, packet: Any) -> list[Any]:
    """The frames that a packet completes; none, and a note in `_damage`, if it is damaged."""
    av = _library()
    if packet.is_corrupt:
      self._damage = 'incomplete data'
    try:
      return packet.decode()
    except av.InvalidDataError as error:
      self._damage = _reason(error)
      return []

  def _find_fault(self) -> Optional[str]:
    """The sentence for `fault`, once all frames are read."""
    if self._damage:
      announced = f' of {self.num_frames}' if self.num_frames else ''
      return f'{self.name}: damaged or cut off ({self._damage}); {self._given}{announced} frames could be read.'
    announced_s = _duration_s(self._container, self._stream)
    if announced_s is not None and self._end_s + 1 / self.rate_hz < announced_s - _MISSING_S:
      return (f'{self.name}: ends after {self._end_s:.1f} s instead of the {announced_s:.1f} s that it announces, '
              f'probably cut off; {self._given} frames could be read.')
    return None


def _quarter_turns(frame: Any) -> int:
  """By how many quarter turns, counter-clockwise, a decoded frame must be turned to be upright."""
  return round(frame.rotation / 90) % 4


def _to_rgb(frame: Any, width: int, height: int, name: str) -> np.ndarray:
  """A decoded frame as uint8 [height, width, 3]; scaled to that size, since a stream's may change in the middle."""
  av = _library()
  try:
    return frame.to_ndarray(format='rgb24', width=width, height=height)
  except (av.FFmpegError, ValueError) as error:
    raise UserError(f'{name}: its pictures cannot be converted to RGB ({_reason(error)}); convert it to H.264 in '
                    '.mp4.') from error


def _duration_s(container: Any, stream: Any) -> Optional[float]:
  """The duration of the pictures that a file announces, or None; a file's own may be that of its sound."""
  if stream.duration and stream.time_base:
    return float(stream.duration * stream.time_base)
  return container.duration / 1e6 if container.duration and len(container.streams) == 1 else None


def _reason(error: Exception) -> str:
  """What an error of FFmpeg says, in a few words and without the path, which the messages name."""
  return getattr(error, 'strerror', None) or str(error) or type(error).__name__


@gin.configurable(module='video_files', allowlist=['max_pixels', 'max_bytes'])
def read_frames(path: PathLike, max_pixels: int = 100_000_000, max_bytes: int = 2**40) -> FrameReader:
  """Opens a video file.

  Sound is ignored, and so are pixels that are not square. The first frame is decoded here, so that a file without any
  is refused at once; memory holds a few frames, however long the video is.

  Args:
    path: of the file, in a container and a codec that FFmpeg knows.
    max_pixels: largest height x width of a frame.
    max_bytes: largest size of the file.

  Returns:
    `FrameReader`.

  Raises:
    UserError: the file is missing, no plain file, empty, no video, without pictures, larger than the limits, or none of
      its frames can be decoded.
  """
  av = _library()
  check_input(path, max_bytes)
  name = printable(path)
  if not os.path.getsize(path):
    raise UserError(f'{name}: the file is empty; get a whole copy.')
  options = {'protocol_whitelist': 'file', 'format_whitelist': _CONTAINERS, 'max_pixels': str(max_pixels)}
  try:
    with _in_utf8(path) as plain:
      # With its protocol named, a path is never taken for an address.
      container = av.open(f'file:{plain}', options=options)
  except (av.FFmpegError, OSError, ValueError) as error:
    raise UserError(f'{name}: not a video that can be read ({_reason(error)}); give a whole video file, such as H.264 '
                    'in .mp4.') from error
  return _reader(container, name, max_pixels)


@contextlib.contextmanager
def _in_utf8(path: PathLike) -> Iterator[str]:
  """Yields an absolute path of a file that FFmpeg can open, whose names are UTF-8: a link if its own name is not."""
  path = os.path.abspath(path)
  if printable(path) == path:
    yield path
    return
  with tempfile.TemporaryDirectory() as folder:
    link = os.path.join(folder, f'video{os.path.splitext(printable(path))[1]}')
    os.symlink(path, link)
    yield link


@gin.configurable(module='video_files', allowlist=['max_pixels'])
def read_camera(device: str = '/dev/video0', driver: str = 'v4l2', max_pixels: int = 100_000_000) -> FrameReader:
  """Opens a camera.

  Args:
    device: as the driver names it.
    driver: input device of FFmpeg: 'v4l2' under Linux.
    max_pixels: largest height x width of a frame.

  Returns:
    `FrameReader`, which ends when the camera is unplugged.

  Raises:
    UserError: there is no such camera, or it cannot be opened.
  """
  av = _library()
  try:
    container = av.open(device, format=driver)
  except (av.FFmpegError, OSError, ValueError) as error:
    raise UserError(f'{device}: no camera can be opened there ({_reason(error)}); connect one that no other program '
                    'uses, or name another device.') from error
  return _reader(container, device, max_pixels)


def _reader(container: Any, name: str, max_pixels: int) -> FrameReader:
  """Checks an opened container and makes its `FrameReader`; closes it if that fails."""
  with contextlib.ExitStack() as stack:
    stack.callback(container.close)
    if not container.streams.video:
      raise UserError(f'{name}: no pictures in it, only {_kinds(container)}; give a video.')
    codec = container.streams.video[0].codec_context
    if codec is None:
      raise UserError(f'{name}: its codec is unknown; convert it to H.264 in .mp4.')
    if codec.width * codec.height > max_pixels:
      raise UserError(f'{name}: its header announces {codec.width} x {codec.height} pixels, the limit is {max_pixels}; '
                      'scale it down, or raise video_files.read_frames.max_pixels.')
    reader = FrameReader(container, name, max_pixels)
    stack.pop_all()
    return reader


def _kinds(container: Any) -> str:
  """The kinds of streams in a container, for a message."""
  return ' and '.join(sorted({stream.type for stream in container.streams})) or 'nothing'


class VideoWriter:
  """Takes the frames of a video; made by `write_video`, which turns errors of the file system into UserErrors."""

  def __init__(self, container: Any, size: tuple[int, int], rate_hz: float, quality: int, preset: str):
    av = _library()
    self._container = container
    self._size = size
    self._last = None
    self._step = max(round(_TICKS_PER_S / rate_hz), 1)
    x264 = 'libx264' in av.codecs_available
    self._stream = container.add_stream(
        'libx264' if x264 else 'mpeg4', rate=fractions.Fraction(rate_hz).limit_denominator(10_000),
        options={'crf': str(quality), 'preset': preset} if x264 else {'qscale': '3'})
    # The codec halves the resolution of colours, so it wants even sizes.
    self._stream.height, self._stream.width = (side + side % 2 for side in size)
    self._stream.pix_fmt = 'yuv420p'
    codec = self._stream.codec_context
    codec.time_base = fractions.Fraction(1, _TICKS_PER_S)
    # Stated, because players guess by the size otherwise.
    codec.colorspace = codec.color_primaries = codec.color_trc = _BT709
    codec.color_range = _LIMITED_RANGE

  def write(self, picture: np.ndarray, time_s: Optional[float] = None) -> None:
    """Appends a frame.

    Args:
      picture: uint8 [H, W, 3], RGB, of the video's size. Of an odd size, the last row or column is repeated.
      time_s: when it is shown, in seconds, later than the frame before; None for one period of the frame rate later.

    Raises:
      ValueError: a picture of another size or type.
    """
    av = _library()
    if picture.shape != (*self._size, 3) or picture.dtype != np.uint8:
      raise ValueError(f'picture: expected uint8 {(*self._size, 3)}, got {picture.dtype} {picture.shape}')
    height, width = self._size
    even = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode='edge')
    frame = av.VideoFrame.from_ndarray(even, format='rgb24').reformat(format='yuv420p', dst_colorspace=_BT709)
    next_tick = 0 if self._last is None else self._last + self._step
    frame.pts = next_tick if time_s is None else max(round(time_s * _TICKS_PER_S), (self._last or -1) + 1)
    frame.time_base = fractions.Fraction(1, _TICKS_PER_S)
    self._last = frame.pts
    self._container.mux(self._stream.encode(frame))

  def finish(self, name: str) -> None:
    """Writes what the encoder holds back; a UserError that names the file if it has no frame."""
    if self._last is None:
      raise UserError(f'{name}: no frame was given, so no video was written.')
    self._container.mux(self._stream.encode(None))


@gin.configurable(module='video_files', allowlist=['quality', 'preset'])
@contextlib.contextmanager
def write_video(path: PathLike, size: tuple[int, int], rate_hz: float, quality: int = 22,
                preset: str = 'ultrafast') -> Iterator[VideoWriter]:
  """Writes a video, H.264 where FFmpeg can encode it, else MPEG-4, without sound.

  The file appears under its name when it is complete; if the block fails, nothing remains.

  Args:
    path: of the file; its ending, one of `WRITTEN_EXTENSIONS`, chooses the container.
    size: (height, width) of the frames in pixels; odd sizes grow by one.
    rate_hz: frames a second.
    quality: constant rate factor of x264, 0 (lossless) .. 51.
    preset: of x264: how long it searches for a small encoding, 'ultrafast' .. 'veryslow'. Slower ones than the
      default make smaller files; 'superfast' takes about twice the time.

  Yields:
    `VideoWriter`.

  Raises:
    UserError: a folder is at `path`, its ending is unknown, no frame was written, or the file cannot be written.
  """
  av = _library()
  name = printable(path)
  if not name.lower().endswith(WRITTEN_EXTENSIONS):
    raise UserError(f'{name}: a video must end in one of {", ".join(WRITTEN_EXTENSIONS)}; choose another name.')
  check_output(path)
  folder = os.path.dirname(os.path.abspath(path))
  if printable(folder) != folder:
    raise UserError(f'cannot write {name}: videos need a folder whose name is text in UTF-8; choose another one.')
  # With the index first, a player can begin before it has the whole file.
  options = {'movflags': '+faststart'} if name.lower().endswith(_INDEXED_EXTENSIONS) else {}
  try:
    with atomic_path(path) as temporary, av.open(temporary, 'w', options=options) as container:
      writer = VideoWriter(container, size, rate_hz, quality, preset)
      yield writer
      writer.finish(name)
  except av.FFmpegError as error:
    raise UserError(f'cannot write {name}: {_reason(error)}; nothing was left there. Free some disk space or choose a '
                    'writable place.') from error
