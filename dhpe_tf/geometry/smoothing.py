"""Smoothing of quantities measured frame by frame, for real time: the One Euro filter.

Casiez, Roussel, Vogel: "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems",
CHI 2012. A first-order low-pass of cutoff frequency f follows a value x measured after a time dt by

  y <- y + a (x - y),    a = r / (1 + r),    r = 2 pi f dt.

The cutoff grows with the speed: f = f_min + beta |dx/dt|, with dx/dt of the measured values, itself smoothed at a fixed
cutoff. So a value at rest is steady, and one in motion is followed with little lag: at constant speed v it is late by
v / (2 pi f). White noise at beta = 0 keeps a / (2 - a) of its variance.
"""
import abc
from typing import Optional

import gin
import numpy as np
from scipy.spatial.transform import Rotation

# scipy's quaternions are (x, y, z, w); ours are (w, x, y, z).
_TO_SCIPY, _FROM_SCIPY = [1, 2, 3, 0], [3, 0, 1, 2]


class _Filter(abc.ABC):
  """What the filters of vectors and of rotations share: the time, the cutoffs, and what to do with missing values.

  A subclass says how two values differ and how a value moves along a difference.
  """

  def __init__(self, min_cutoff_hz: float, speed_coefficient: float, derivative_cutoff_hz: float):
    if min_cutoff_hz <= 0 or derivative_cutoff_hz <= 0 or speed_coefficient < 0:
      raise ValueError(f'cutoffs must be above 0 and the speed coefficient at least 0, got {min_cutoff_hz}, '
                       f'{derivative_cutoff_hz} and {speed_coefficient}')
    self._min_cutoff_hz = min_cutoff_hz
    self._speed_coefficient = speed_coefficient
    self._derivative_cutoff_hz = derivative_cutoff_hz
    self.reset()

  def reset(self) -> None:
    """Forgets all values: the next one is taken as it is."""
    self._time_s: Optional[float] = None
    self._value: Optional[np.ndarray] = None
    self._measured: Optional[np.ndarray] = None
    self._speed: Optional[np.ndarray] = None

  def __call__(self, value: np.ndarray, time_s: float) -> np.ndarray:
    """Takes the value of a frame and returns the smoothed one.

    A frame with a number that is not finite is a missing one: the smoothed value stays what it was (or the missing
    value is returned, before the first whole one), and the next whole frame is smoothed over the longer time.

    Args:
      value: the measured value; of one shape in all frames.
      time_s: when, in seconds; later than the last whole frame.

    Returns:
      The smoothed value, float64, in the shape of `value`.

    Raises:
      ValueError: a time that is not finite or not later than that of the last whole frame, or a value of another shape.
    """
    value = np.array(value, np.float64)
    if not np.isfinite(time_s) or self._time_s is not None and time_s <= self._time_s:
      raise ValueError(f'time_s: frames must come in the order of their times, got {time_s} s after {self._time_s} s')
    if self._value is not None and value.shape != self._value.shape:
      raise ValueError(f'value: expected shape {self._value.shape} as before, got {value.shape}')
    if not np.isfinite(value).all():
      return value if self._value is None else self._value.copy()
    if self._value is None:
      self._value = self._measured = self._normalised(value)
      self._speed = np.zeros_like(self._difference(self._value, self._value))
    else:
      self._follow(self._normalised(value), time_s - self._time_s)
    self._time_s = time_s
    return self._value.copy()

  def _follow(self, value, seconds):
    """Moves the smoothed speed and value toward a measured value that comes `seconds` after the last one."""
    speed = self._difference(value, self._measured) / seconds
    self._speed = self._speed + _share(self._derivative_cutoff_hz, seconds) * (speed - self._speed)
    cutoff_hz = self._min_cutoff_hz + self._speed_coefficient * self._magnitude(self._speed)
    self._value = self._moved(self._value, _share(cutoff_hz, seconds) * self._difference(value, self._value))
    self._measured = value

  @abc.abstractmethod
  def _normalised(self, value: np.ndarray) -> np.ndarray:
    """A measured value in the form in which it is kept."""

  @abc.abstractmethod
  def _difference(self, end: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The way from one value to another."""

  @abc.abstractmethod
  def _moved(self, start: np.ndarray, way: np.ndarray) -> np.ndarray:
    """The value at the end of a way."""

  @abc.abstractmethod
  def _magnitude(self, speed: np.ndarray) -> np.ndarray:
    """The size of a speed, which sets the cutoff; broadcasts with it."""


def _share(cutoff_hz, seconds):
  """The part a of the way that a first-order low-pass goes in a time: r / (1 + r), r = 2 pi f dt."""
  ratio = 2 * np.pi * cutoff_hz * seconds
  return ratio / (1 + ratio)


@gin.configurable(module='smoothing')
class OneEuro(_Filter):
  """Smooths vectors, such as the positions of joints, frame by frame.

  All coordinates of a point, its last axis, share the speed |dx/dt| and so the cutoff: a motion along one axis does
  not bend where the axes have different noise, and the result does not depend on the choice of the axes.

  Call it with each value, [..., D], and its time in seconds; see `__call__`.

  Args:
    min_cutoff_hz: cutoff at rest; lower is steadier and later.
    speed_coefficient: beta, by how many hertz the cutoff grows with a speed of one unit of the values a second. The
      default is for metres.
    derivative_cutoff_hz: cutoff of the speed.

  Raises:
    ValueError: a cutoff that is not above 0, or a negative coefficient.
  """

  def __init__(self, min_cutoff_hz: float = 1.5, speed_coefficient: float = 15., derivative_cutoff_hz: float = 1.):
    super().__init__(min_cutoff_hz, speed_coefficient, derivative_cutoff_hz)

  def _normalised(self, value):
    return value

  def _difference(self, end, start):
    return end - start

  def _moved(self, start, way):
    return start + way

  def _magnitude(self, speed):
    return np.linalg.norm(np.atleast_1d(speed), axis=-1, keepdims=speed.ndim > 0)


@gin.configurable(module='smoothing')
class OneEuroRotations(_Filter):
  """Smooths rotations, frame by frame, along the shortest turns between them.

  The difference of two rotations is the axis-angle vector of the turn from one to the other, the speed is that of the
  turn in radians a second, and the smoothed rotation goes a part of the way: spherical linear interpolation. q and -q
  are the same rotation.

  Call it with quaternions [..., 4] (w, x, y, z), not zero, and their time in seconds; see `__call__`. They are
  normalised here. Those returned do not jump from q to -q from frame to frame, whatever the signs of those given.

  Args:
    min_cutoff_hz: cutoff at rest; lower is steadier and later.
    speed_coefficient: beta, by how many hertz the cutoff grows with a speed of one radian a second.
    derivative_cutoff_hz: cutoff of the speed.

  Raises:
    ValueError: a cutoff that is not above 0, or a negative coefficient.
  """

  def __init__(self, min_cutoff_hz: float = 1.5, speed_coefficient: float = 1., derivative_cutoff_hz: float = 1.):
    super().__init__(min_cutoff_hz, speed_coefficient, derivative_cutoff_hz)

  def _normalised(self, value):
    if value.shape[-1:] != (4,) or not np.any(value, axis=-1).all():
      raise ValueError(f'value: expected quaternions [..., 4] that are not zero, got shape {value.shape}')
    return value / np.linalg.norm(value, axis=-1, keepdims=True)

  def _difference(self, end, start):
    return (_turns(end) * _turns(start).inv()).as_rotvec().reshape(*start.shape[:-1], 3)

  def _moved(self, start, way):
    moved = Rotation.from_rotvec(way.reshape(-1, 3)) * _turns(start)
    return moved.as_quat()[:, _FROM_SCIPY].reshape(start.shape)

  def _magnitude(self, speed):
    return np.linalg.norm(speed, axis=-1, keepdims=True)


def _turns(quaternions):
  """Quaternions [..., 4] (w, x, y, z) as scipy's list of rotations. TensorFlow would take milliseconds a frame."""
  return Rotation.from_quat(quaternions.reshape(-1, 4)[:, _TO_SCIPY])
