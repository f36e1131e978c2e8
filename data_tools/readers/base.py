"""What all readers share: the interface, the fields of an example, reading of pictures, and camera geometry."""
import abc
import dataclasses
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any, ClassVar, Optional

import numpy as np
from PIL import Image
from tqdm import tqdm

from dhpe_tf.data import image_files
from dhpe_tf.errors import UserError
from dhpe_tf.hand import skeletons

Example = dict[str, Any]

PALM_OR_WRIST = ('palm', 'wrist')
_PNG, _PNG_DEPTH = b'\x89PNG', 24  # how a PNG file starts, and the byte that holds its bits a channel
_ENDINGS = {'png': b'IEND\xaeB`\x82', 'jpeg': b'\xff\xd9'}
_FORMATS = {'.png': 'png', '.jpg': 'jpeg', '.jpeg': 'jpeg'}


@dataclasses.dataclass(frozen=True)
class Picture:
  """An encoded picture whose header, checksums (of a PNG) and ending have been checked.

  Attributes:
    data: the bytes of the file, unchanged.
    height: in pixels.
    width: in pixels.
  """

  data: bytes
  height: int
  width: int


class Reader(abc.ABC):
  """A dataset on disk.

  `keys` lists the samples quickly; `read` does the work for one key, so keys can be distributed over processes.

  Attributes:
    source: name of the dataset, written into each example.
    licence: licence text for users of the converted records.
    published_counts: number of examples by split under the reader's options, as the authors publish it; without
      splits or options of which no count is published.
  """

  source: ClassVar[str]
  licence: ClassVar[str]
  published_counts: dict[str, int]

  def __new__(cls, *args: Any, **kwargs: Any) -> 'Reader':
    """Stores the arguments, from which another process makes an equal reader without receiving its labels."""
    reader = super().__new__(cls)
    reader._made_of = args, tuple(sorted(kwargs.items()))
    return reader

  def __reduce__(self) -> tuple:
    """Pickles the class and its arguments, without the labels read so far."""
    return _make, (type(self), *self._made_of)

  @property
  @abc.abstractmethod
  def options(self) -> dict[str, Any]:
    """The options of reading, for dataset.json."""

  @abc.abstractmethod
  def keys(self, split: str) -> Sequence[Any]:
    """Returns the keys of a split ('train' or 'eval') in a fixed order.

    Raises:
      UserError: the split is unknown, or a file that the whole split needs is missing or damaged.
    """

  @abc.abstractmethod
  def read(self, split: str, key: Any) -> list[Example]:
    """Reads the hands of one key; an empty list if none is labelled.

    Raises:
      UserError: a file of this key is missing or damaged; the message names it.
    """


_MADE: dict[str, Reader] = {}


def _make(cls: type, args: tuple, kwargs: tuple) -> Reader:
  """Returns the reader of a class and its arguments, one for each process, so that labels are read only once."""
  name = repr((cls, args, kwargs))
  if name not in _MADE:
    _MADE[name] = cls(*args, **dict(kwargs))
  return _MADE[name]


class Skipped:
  """Collects the errors of keys that could not be read.

  Attributes:
    messages: one line for each skipped key.
  """

  def __init__(self, fatal: bool = False):
    self.messages: list[str] = []
    self._fatal = fatal

  def add(self, error: UserError) -> None:
    """Stores and prints an error, or raises it if errors are fatal."""
    if self._fatal:
      raise error
    self.messages.append(first_line(error))
    tqdm.write(f'skipped: {first_line(error)}', file=sys.stderr)


def first_line(error: UserError) -> str:
  """The first line of an error's message, without those that gin appends."""
  return str(error).split('\n', 1)[0]


def examples(reader: Reader, split: str, skipped: Skipped, threads: int = 2, ahead: int = 64,
             keys: Optional[Sequence[Any]] = None,
             check: Callable[[Example], None] = lambda example: None) -> Iterator[Example]:
  """Yields the examples of a split in the order of its keys; errors go to `skipped`.

  Args:
    reader: of the dataset.
    split: 'train' or 'eval'.
    skipped: receives the errors.
    threads: number of threads that read files and encode masks.
    ahead: number of keys that they work on at a time, which bounds the memory.
    keys: the keys to read; None for all of the split.
    check: called with every example, in the threads; raises a UserError about one that cannot be used.

  Yields:
    The examples.
  """
  def read(key):
    try:
      found = reader.read(split, key)
      for example in found:
        check(example)
      return found
    except UserError as error:
      return error

  keys = list(reader.keys(split) if keys is None else keys)
  with futures.ThreadPoolExecutor(threads) as pool:
    for start in range(0, len(keys), ahead):
      for found in pool.map(read, keys[start:start + ahead]):
        if isinstance(found, UserError):
          skipped.add(found)
        else:
          yield from found


def make_example(picture: Picture, image_id: str, side: str, source: str, joints_3d_m: np.ndarray,
                 joints_2d_px: np.ndarray, intrinsics: np.ndarray, valid: Optional[np.ndarray] = None,
                 visibility: Optional[np.ndarray] = None, mask: Optional[np.ndarray] = None, group: str = '',
                 parameters: Optional[tuple[np.ndarray, np.ndarray]] = None,
                 box_px: Optional[np.ndarray] = None, place: str = '') -> Example:
  """Makes an example with the fields of `dhpe_tf.tasks.hand.record`; fields without a label are zero.

  Args:
    picture: not mirrored for left hands.
    image_id: unique in the dataset.
    side: 'right' or 'left'.
    source: name of the dataset.
    joints_3d_m: `[21, 3]` in camera axes, metres, in the joint order of this package.
    joints_2d_px: `[21, 2]`, pixel centres at +0.5.
    intrinsics: `[3, 3]` px.
    valid: `[21]` which keypoints are labelled; None for all.
    visibility: `[21]` 1 seen, 0 hidden; None for all seen.
    mask: `[H, W]` bool, the hand, or None.
    group: a person or sequence; a group must lie in one split.
    parameters: MANO pose `[45]` about the flat hand and shape `[10]`, or None.
    box_px: the hand's left, top, width, height, for hands without labelled joints, or None.
    place: label file and entry, for the error.

  Returns:
    The example.

  Raises:
    UserError: a number, such as a projection to pixels, is too large for a record.
  """
  valid = np.ones(21, np.float32) if valid is None else np.asarray(valid, np.float32)
  visibility = valid if visibility is None else np.asarray(visibility, np.float32) * valid
  labelled = valid[:, None] > 0
  pose, shape = parameters if parameters is not None else (np.zeros(45), np.zeros(10))
  with np.errstate(over='ignore'):  # found below
    example = {
        'image/encoded': picture.data, 'image/height': picture.height, 'image/width': picture.width,
        'image/id': image_id, 'hand/side': side,
        'hand/joints_2d_px': np.where(labelled, joints_2d_px, 0.).astype(np.float32),
        'hand/visibility': visibility, 'hand/joints_2d_valid': valid,
        'hand/joints_3d_m': np.where(labelled, joints_3d_m, 0.).astype(np.float32), 'hand/joints_3d_valid': valid,
        'mask/encoded': b'' if mask is None else encode_mask(mask),
        'camera/intrinsics': np.asarray(intrinsics, np.float32),
        'hand/pose': np.asarray(pose, np.float32), 'hand/shape': np.asarray(shape, np.float32),
        'hand/has_parameters': float(parameters is not None), 'source': source, 'group': group,
        'hand/box_px': np.zeros(4, np.float32) if box_px is None else np.asarray(box_px, np.float32),
    }
  for name, value in example.items():
    if isinstance(value, np.ndarray) and not np.isfinite(value).all():
      raise UserError(f'{place or image_id}: its labels make {name} too large for a record; download it again')
  return example


def project(points_m: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
  """Projects points `[N, 3]` in camera axes to pixels `[N, 2]` in float64: (u, v, w) = K P, pixel = (u / w, v / w)."""
  image = np.asarray(points_m, np.float64) @ np.asarray(intrinsics, np.float64).T
  return image[:, :2] / np.where(image[:, 2:] == 0, 1., image[:, 2:])


def corner_origin(intrinsics: np.ndarray) -> np.ndarray:
  """Adds 0.5 px to the principal point: from pixel centres at whole numbers to this package's centres at +0.5."""
  return intrinsics + np.array([[0., 0., .5], [0., 0., .5], [0., 0., 0.]])


def palm_from_wrist(joints: np.ndarray) -> np.ndarray:
  """Replaces keypoint 0 of `[21, D]`, the wrist, by the palm, (wrist + middle MCP) / 2 (RHD's convention)."""
  joints = np.array(joints, np.float64)
  joints[0] = skeletons.palm_of(joints[0], joints[skeletons.ROOT])
  return joints


def read_picture(path: str, upright: bool = False) -> Picture:
  """Reads a PNG or JPEG file and checks header, checksums and ending, without decoding it unless `upright`.

  Args:
    path: the file.
    upright: whether to decode the picture, to accept other formats and to apply the EXIF orientation.

  Raises:
    UserError: the file is missing, no such picture, damaged, or cut off.
  """
  if upright:
    return Picture(*image_files.read_upright(path))
  image_format = _FORMATS.get(os.path.splitext(path)[1].lower())
  if image_format is None:
    raise UserError(f'{path}: a PNG or JPEG file was expected here')
  data = image_files.read_bytes(path)
  height, width = image_files.read_image_size(data, path)
  if _ENDINGS[image_format] not in data[-64:]:
    raise UserError(f'{path}: the picture is cut off; get a whole copy.')
  image_files.check_sums(data, path)
  return Picture(data, height, width)


def read_labels(path: str, grey: bool = False) -> np.ndarray:
  """Reads a picture that holds numbers, integers `[H, W]` of any depth; channels beside the first repeat it.

  Args:
    path: a PNG or JPEG file.
    grey: whether to take the brightness of pictures whose channels differ instead of refusing them.

  Raises:
    UserError: the file is missing, not a picture, damaged, or its channels differ.
  """
  data = image_files.read_bytes(path)
  try:
    with Image.open(io.BytesIO(data), formats=('PNG', 'JPEG')) as image:
      labels, bands = np.array(image.convert('L') if grey else image), image.getbands()
  except UserError:
    raise
  # Pillow raises many kinds of errors for damaged files.
  except Exception as error:
    raise UserError(f'{path}: not a whole PNG or JPEG picture ({type(error).__name__}); get a whole copy.') from error
  # Pillow keeps only the upper 8 of 16 bits of several channels.
  if labels.ndim == 3 and data.startswith(_PNG) and data[_PNG_DEPTH] == 16:
    raise UserError(f'{path}: several channels of 16 bits; write one channel')
  if labels.ndim == 3:
    colours = labels[..., :len(bands) - ('A' in bands)]
    if (colours != colours[..., :1]).any():
      raise UserError(f'{path}: numbers were expected, so all channels must be equal; get the file of labels')
    labels = colours[..., 0]
  return labels.astype(np.uint8) if labels.dtype == bool else labels


def encode_png(image: np.ndarray) -> bytes:
  """Encodes an image, uint8 `[H, W]` or `[H, W, 3]`, as PNG with fast compression."""
  file = io.BytesIO()
  Image.fromarray(image).save(file, 'PNG', compress_level=1)
  return file.getvalue()


def encode_mask(mask: np.ndarray) -> bytes:
  """Encodes a bool mask `[H, W]` as PNG with values 0 and 255."""
  return encode_png(np.where(mask, np.uint8(255), np.uint8(0)))


def find_root(path: str, wanted: str, inside: Sequence[str] = ()) -> str:
  """Returns the folder that holds `wanted`: `path`, or a folder named in `inside` below it.

  Raises:
    UserError: none of them holds it.
  """
  for folder in (path, *(os.path.join(path, name) for name in inside)):
    if os.path.exists(os.path.join(folder, wanted)):
      return folder
  raise UserError(f'{os.path.join(path, wanted)}: not found; name the folder that holds {wanted!r}')


def split_folder(folders: dict[str, str], split: str) -> str:
  """Returns the dataset's own name of a split; raises a UserError that lists the splits if it is unknown."""
  return folders[check_option('splits', split, tuple(folders))]


def check_option(name: str, value: str, choices: Sequence[str]) -> str:
  """Returns the value; raises a UserError if it is not one of the choices."""
  if value not in choices:
    raise UserError(f'--{name} must be one of {", ".join(choices)}, got {value!r}')
  return value
