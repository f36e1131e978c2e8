"""Answers the page: a photograph's bytes to all that the page shows and offers for download."""
import base64
import contextlib
import dataclasses
import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from typing import Any

import gin
import numpy as np
import tensorflow as tf
from PIL import Image

from dhpe_tf.data import image_files
from dhpe_tf.errors import UserError
from dhpe_tf.finding import finder
from dhpe_tf.geometry import crops
from dhpe_tf.hand.skeletons import BONES
from dhpe_tf.inference.predictor import Predictor, answer_with
from dhpe_tf.tasks.hand import posed_files, prediction
from dhpe_tf.tasks.hand import request as requests
from dhpe_tf.visualization import mesh_files

_NAME = 'photograph'


@gin.configurable(module='demo')
@dataclasses.dataclass(frozen=True)
class Limits:
  """What the page takes.

  Attributes:
    max_bytes: longest file.
    max_pixels: largest height x width, by the file's header.
    most_steps: largest number of steps of refinement.
    search_px: hands are searched in the picture at this longer side, px: REST sends each pixel as text. They are cut
      out of the whole picture.
    shown_px: longer side of the picture that the page gets back, px.
    at_once: photographs that are answered at the same time; others wait.
  """

  max_bytes: int = 16 * 2**20
  max_pixels: int = 50_000_000
  most_steps: int = 20
  search_px: int = 512
  shown_px: int = 1280
  at_once: int = 2


class Answers:
  """Answers photographs by a predictor of the hand task; threads may share it."""

  def __init__(self, predictor: Predictor, limits: Limits):
    """Keeps both.

    Args:
      predictor: with a hand finder and a mesh.
      limits: of what is answered.
    """
    self.limits = limits
    self._predictor, self._task = predictor, predictor.task
    # As an array, because converting lists for each photograph would take longer than posing the hand.
    card = predictor.card
    self._card = {**card, 'hand_model': {**card['hand_model'], 'faces': prediction.faces_of(card)}}

  def warm_up(self) -> threading.Thread:
    """Starts to answer a picture without a hand, and a crop, in a thread, which it returns: first answers take long.

    An error is left to the first photograph, which meets it too.
    """
    def run():
      with contextlib.suppress(UserError):
        self._task.hand_finder().find(tf.zeros([self.limits.search_px] * 2 + [3], tf.uint8))
        zeros = {name: tf.zeros([1, *spec.shape[1:]]) for name, spec in self._predictor.input_specs.items()}
        answer_with(self._predictor, zeros, self.settings()['usual_steps'])

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread

  def settings(self) -> dict[str, Any]:
    """Returns what the page must know before the first photograph: limits, joints, bones, usual number of steps."""
    usual = self._card.get('usage', {}).get('refine_steps', 0)
    return {'max_bytes': self.limits.max_bytes, 'max_pixels': self.limits.max_pixels,
            'most_steps': self.limits.most_steps if self._predictor.refined else 0, 'usual_steps': usual,
            'joint_order': list(self._card['joint_order']), 'bones': [list(bone) for bone in BONES]}

  def answer(self, data: bytes, steps: int) -> dict[str, Any]:
    """Finds the hands of a photograph.

    Args:
      data: the encoded file.
      steps: of refinement.

    Returns:
      `result` as `predict` writes it to JSON; `overlay`, a JPEG in base64; and for each hand in `files` its `faces`
      `[F, 3]`, and `obj` and `glb` in base64.

    Raises:
      image_files.TooLargeError: too many bytes or pixels.
      UserError: no picture, no hand, too many steps, or the server does not answer.
    """
    if not 0 <= steps <= self.limits.most_steps:
      raise UserError(f'steps: {steps} of refinement; choose 0 to {self.limits.most_steps}.')
    picture = self._read(data)
    request = requests.found(picture, _NAME, self._find(picture), self._task.sees_upright(self._card))
    inputs = self._task.inputs(request, self._predictor.input_specs)
    hands = self._task.result(request, answer_with(self._predictor, inputs, steps), self._card)
    return {'result': {**prediction.describe(request, hands, self._card['joint_order']), 'refine_steps': steps},
            'summary': prediction.summarise(hands), 'overlay': self._overlay(picture, hands),
            'files': [self._files(hand, picture.shape[:2]) for hand in hands]}

  def _read(self, data: bytes) -> np.ndarray:
    """The upright picture, uint8 [H, W, 3]."""
    limits = self.limits
    if len(data) > limits.max_bytes:
      raise image_files.TooLargeError(f'The file is longer than the limit, {limits.max_bytes / 2**20:.3g} MiB. Choose '
                                      'a smaller one.')
    try:
      return image_files.decode_image(data, _NAME, limits.max_pixels)
    except image_files.TooLargeError as error:
      raise image_files.TooLargeError(f'The picture has too many pixels; the limit is {limits.max_pixels / 1e6:.3g} '
                                      'million. Scale it down.') from error

  def _find(self, picture: np.ndarray) -> finder.Hands:
    """The hands of a picture, found in a smaller copy, by the pixels of the picture itself."""
    small = _scaled(picture, self.limits.search_px)
    hands, rejected = self._task.hand_finder().find(tf.constant(small))
    if not len(hands.presence):
      raise UserError(f'No hand was found; the best candidate scored {float(rejected):.2f} of 1, which is not enough. '
                      'Show a hand whole, with its wrist, in good light, and not too small.')
    scale = picture.shape[1] / small.shape[1]
    return hands._replace(crop=crops.Crop(hands.crop.center_px * scale, hands.crop.side_px * scale),
                          joints_px=hands.joints_px * scale)

  def _overlay(self, picture: np.ndarray, hands: list[prediction.Hand]) -> str:
    """The picture with meshes and skeletons, a JPEG in base64."""
    drawn = _scaled(prediction.draw(picture, hands), self.limits.shown_px)
    return _base64(image_files.encode(drawn, 'JPEG', quality=90))

  def _files(self, hand: prediction.Hand, size: tuple[int, ...]) -> dict[str, Any]:
    """The downloads of a hand, and the faces of its mesh."""
    hand_model = self._task.hand_model
    files = {'faces': hand.faces.tolist(), 'obj': _written(
        '.obj', lambda path: mesh_files.write_obj(path, hand.values['vertices_m'], hand.faces, f'{hand.side} hand'))}
    if self._card['hand_model'].get('fingerprint') == hand_model.fingerprint and 'camera' in hand.values:
      moments = [posed_files.moment(hand, size)]
      files['glb'] = _written('.glb', lambda path: posed_files.write_gltf(path, moments, hand_model))
    return files


def check(card: Mapping[str, Any], signatures: Mapping[str, Any], name: str) -> None:
  """Raises a UserError unless a model finds hands and makes meshes of photographs."""
  if 'find_hands' not in signatures or 'faces' not in card.get('hand_model', {}):
    raise UserError(f'{name}: has no hand finder or no mesh, which the page needs; leave out --model for the shipped '
                    'model, or export a model of the landmark method (gin/landmarks.gin).')


def _scaled(picture: np.ndarray, longest_px: int) -> np.ndarray:
  """The picture, uint8 [H, W, 3], made smaller if its longer side is over `longest_px`."""
  height, width = picture.shape[:2]
  if max(height, width) <= longest_px:
    return picture
  factor = longest_px / max(height, width)
  size = max(round(width * factor), 1), max(round(height * factor), 1)
  return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))


def _written(ending: str, write: Callable[[str], None]) -> str:
  """The content, in base64, of a file that `write` writes at the path that it is given."""
  with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, f'hand{ending}')
    write(path)
    return _base64(image_files.read_bytes(path))


def _base64(data: bytes) -> str:
  """Bytes as a text that JSON can hold."""
  return base64.b64encode(data).decode()
