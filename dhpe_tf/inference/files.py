"""Finds the pictures, the video or the camera to predict from."""
import os
import re
import sys
from typing import Optional

from dhpe_tf.data import image_files, video_files
from dhpe_tf.errors import UserError

# FFmpeg's input devices, by `sys.platform`.
_CAMERA_DRIVERS = {'linux': 'v4l2', 'darwin': 'avfoundation'}


def list_pictures(path: str) -> list[str]:
  """Returns the path itself if it is a file, or the pictures in the folder, sorted by name.

  Raises:
    UserError: the path does not exist, or the folder holds no picture.
  """
  if not os.path.exists(path):
    raise UserError(f'{path}: no such file or folder.')
  if not os.path.isdir(path):
    return [path]
  found = [os.path.join(path, name) for name in sorted(os.listdir(path))
           if name.lower().endswith(image_files.EXTENSIONS) and not name.startswith('.')]
  if not found:
    raise UserError(f'{path}: no picture in this folder ({", ".join(image_files.EXTENSIONS)}).')
  return found


def camera_of(path: str) -> Optional[str]:
  """Returns the name of the camera that --input names, as its driver knows it, or None if it names none.

  Args:
    path: `camera:<number>`, or under Linux a device such as /dev/video0.
  """
  numbered = re.fullmatch(r'camera:(\d+)', path)
  if numbered:
    return f'/dev/video{numbered[1]}' if sys.platform.startswith('linux') else numbered[1]
  return path if re.fullmatch(r'/dev/video\d+', path) else None


def is_clip(path: str) -> bool:
  """Whether --input names a camera or, by its ending, a video."""
  return camera_of(path) is not None or not os.path.isdir(path) and path.lower().endswith(video_files.EXTENSIONS)


def open_clip(path: str) -> video_files.FrameReader:
  """Opens the camera or the video that --input names.

  Raises:
    UserError: it cannot be opened, or this system's cameras are not known.
  """
  device = camera_of(path)
  if device is None:
    return video_files.read_frames(path)
  if sys.platform not in _CAMERA_DRIVERS:
    raise UserError(f'{path}: cameras of this system are not supported; record a video and give its file.')
  return video_files.read_camera(device, _CAMERA_DRIVERS[sys.platform])
