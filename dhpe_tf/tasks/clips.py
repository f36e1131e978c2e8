"""What a task makes of a video: one object a clip, which sees the frames in their order and may remember them."""
import abc
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

import numpy as np

from dhpe_tf.data.video_files import Frame


class Rendered(NamedTuple):
  """What is written of a frame.

  Attributes:
    picture: uint8 [H, W, 3], of one size in all frames of a clip; None for a clip without pictures.
    content: entries of the frame's line of JSON.
  """

  picture: Optional[np.ndarray]
  content: dict[str, Any]


class Clip(abc.ABC):
  """The steps of `predict` for each frame of a video.

  For each frame in turn `request` is called, the method answers the request if there is one, and `found` takes the
  answer. `render` is called for the same frames in the same order, but in another thread and a few frames later, so
  that drawing does not wait for the method; it must share no changing state with the other two. `finish` comes last.

  Attributes:
    refine_steps: steps of test-time refinement that suit a video; None for as many as suit a picture.
  """

  refine_steps: Optional[int] = None

  @abc.abstractmethod
  def request(self, frame: Frame) -> Any:
    """Returns the request for `Task.inputs`, or None if the frame has nothing to look at."""

  @abc.abstractmethod
  def found(self, frame: Frame, request: Any, outputs: Optional[Mapping[str, Any]]) -> Any:
    """Takes the method's outputs for a request, both None where there was nothing to look at.

    Returns:
      What `render` needs of this frame.
    """

  @abc.abstractmethod
  def render(self, frame: Frame, found: Any) -> Rendered:
    """Makes what is written of a frame."""

  def paths(self, stem: str) -> list[str]:
    """The files that `finish` may write, except those whose number depends on the clip."""
    del stem
    return []

  def finish(self, stem: str, rate_hz: float) -> None:
    """Writes further files, whose names begin with `stem`, after the last frame.

    Args:
      stem: the start of their paths.
      rate_hz: frames a second of the video.

    Raises:
      UserError: the clip has no result, and nothing shall be left of it; or a file cannot be written.
    """
    del stem, rate_hz


class PictureClip(Clip):
  """A clip whose frames are pictures that know nothing of each other."""

  def __init__(self, task: Any, card: Mapping[str, Any]):
    """Keeps the task, whose requests are pictures, and the method's card."""
    self._task, self._card = task, card

  def request(self, frame: Frame) -> np.ndarray:
    """Returns the picture."""
    return frame.picture

  def found(self, frame: Frame, request: Any, outputs: Optional[Mapping[str, Any]]) -> Any:
    """Returns the task's result for the picture."""
    return self._task.result(request, outputs, self._card)

  def render(self, frame: Frame, found: Any) -> Rendered:
    """Draws the result as `Task.draw_outputs` does and lists it by name."""
    picture = self._task.draw_outputs({'image': frame.picture / np.float32(255)}, found, self._card)
    return Rendered(picture, {name: np.asarray(value).tolist() for name, value in found.items()})
