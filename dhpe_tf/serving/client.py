"""A client of TensorFlow Serving for exported models: deadlines, repeated tries, batches; by gRPC or REST.

  with Client('localhost:8500', 'hands') as client:
    found = client.predict_encoded([open('photo.jpg', 'rb').read()], {'boxes': [[80., 40., 220., 220.]]})

What is not given is sent as zeros, which mean that nothing is known; the model card says what each input means.
"""
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional, TypeVar

import gin
import numpy as np
import tensorflow as tf

from dhpe_tf.data import image_files
from dhpe_tf.errors import UserError, naming
from dhpe_tf.serving import transports

_Answer = TypeVar('_Answer')
Arrays = dict[str, np.ndarray]


@gin.configurable(module='serving', denylist=['address', 'model', 'interface'])
class Client:
  """Calls the signatures of one model on one server; threads may share it."""

  def __init__(self, address: str, model: str, interface: str = 'grpc', timeout_s: float = 60., tries: int = 6,
               first_delay_s: float = 0.1, longest_delay_s: float = 2., batch_size: int = 32):
    """Keeps the address; the first call connects.

    Args:
      address: host:port of the server's interface.
      model: name under which it has the model.
      interface: 'grpc' or 'rest'.
      timeout_s: deadline of a call, its repetitions included.
      tries: how often a call is tried while the server is UNAVAILABLE: not there, about to start, or too busy.
      first_delay_s: wait after the first try; each further wait is twice as long, and up to half of it is left out at
        random, so that clients do not come back together.
      longest_delay_s: the longest wait.
      batch_size: most rows sent at once; a server with batching refuses more than its own.

    Raises:
      UserError: an unknown interface, or gRPC's messages are not installed.
    """
    if interface not in transports.INTERFACES:
      raise UserError(f'interface {interface!r}: there are {", ".join(transports.INTERFACES)}')
    self._place, self._timeout_s, self._tries = f'{address}, model {model}', timeout_s, tries
    self._first_delay_s, self._longest_delay_s, self._batch_size = first_delay_s, longest_delay_s, batch_size
    self._transport = transports.INTERFACES[interface](address, model)
    self._signatures: dict[str, transports.SignatureSpec] = {}

  def __enter__(self) -> 'Client':
    """Returns itself."""
    return self

  def __exit__(self, *_) -> None:
    """Closes the connection."""
    self.close()

  def close(self) -> None:
    """Closes the connection."""
    self._transport.close()

  def signatures(self) -> dict[str, transports.SignatureSpec]:
    """Asks the server for its signatures, once, by name; raises a UserError."""
    if not self._signatures:
      self._signatures = self._patiently(self._transport.signatures)
    return self._signatures

  def predict(self, signature: str, inputs: Mapping[str, Any], outputs: Sequence[str] = (),
              rows: Sequence[str] = ()) -> Arrays:
    """Calls a signature.

    Args:
      signature: its name.
      inputs: values by name; zeros are sent for the rest.
      outputs: names of the results wanted; all if empty.
      rows: names of inputs with one row for each instance, which are sent in batches of at most `batch_size`.

    Returns:
      Results by name, see the model card.

    Raises:
      UserError: no answer in time, or the server's complaint.
    """
    given = self._filled(signature, inputs)
    count = len(given[rows[0]]) if rows else 0
    if count <= self._batch_size:
      return self._once(signature, given, outputs)
    parts = [self._once(signature, {name: value[start:start + self._batch_size] if name in rows else value
                                    for name, value in given.items()}, outputs)
             for start in range(0, count, self._batch_size)]
    return {name: np.concatenate(_padded([part[name] for part in parts])) for name in parts[0]}

  def predict_encoded(self, images: Sequence[bytes], inputs: Optional[Mapping[str, Any]] = None,
                      outputs: Sequence[str] = (), with_status: bool = False) -> Arrays:
    """Sends encoded pictures.

    Args:
      images: B encoded pictures: JPEG, PNG or BMP, or WebP, which is sent as PNG: servers cannot read it.
      inputs: what else the signature takes, by name, each with B rows: for hands `boxes` and `is_left`.
      outputs: names of the results wanted; all if empty.
      with_status: whether a bad picture is only marked in 'status'; otherwise it fails the call.

    Returns:
      Results by name.

    Raises:
      UserError: see `predict`; or a WebP is damaged or too large.
    """
    signature = 'predict_encoded_status' if with_status else 'predict_encoded'
    given = {'images': _readable(images), **(inputs or {})}
    rows = list(self._spec(signature).inputs)
    return self.predict(signature, given, outputs, rows)

  def predict_hands(self, images: Sequence[bytes], inputs: Optional[Mapping[str, Any]] = None,
                    outputs: Sequence[str] = ()) -> Arrays:
    """Sends encoded pictures of which nothing need be known, and gets all their hands.

    Args:
      images: B encoded pictures: JPEG, PNG or BMP, or WebP, which is sent as PNG: servers cannot read it.
      inputs: what is known, by name, each with B rows: `boxes`, `sides`, `intrinsics`.
      outputs: names of the results wanted; all if empty.

    Returns:
      Results by name; `count` `[B]` tells how many of the N rows of a picture are hands, and a bad picture is marked in
      'status'.

    Raises:
      UserError: see `predict`; or a WebP is damaged or too large.
    """
    given = {'images': _readable(images), **(inputs or {})}
    return self.predict('predict_hands', given, outputs, list(self._spec('predict_hands').inputs))

  def _once(self, signature: str, given: Arrays, outputs: Sequence[str]) -> Arrays:
    """One request, repeated while the server is not there."""
    return self._patiently(lambda timeout_s: self._transport.predict(signature, given, outputs, timeout_s))

  def _filled(self, signature: str, inputs: Mapping[str, Any]) -> Arrays:
    """All inputs of a signature as arrays of its types."""
    specs = self._spec(signature).inputs
    with naming(f'{signature}, inputs', 'give arrays of the shapes that the model card tells.', ValueError, TypeError):
      given = {name: np.asarray(value, specs[name].dtype.as_numpy_dtype if name in specs else None)
               for name, value in inputs.items()}
    counts = [len(value) for name, value in given.items() if value.ndim and name in specs and _has_rows(specs[name])]
    for name, spec in specs.items():
      if name not in given:
        sizes = [counts[0] if axis == 0 and size is None and counts else size for axis, size in enumerate(spec.shape)]
        if None in sizes or spec.dtype == tf.string:
          raise UserError(f'{signature}: give {name}, {spec.dtype.name} {list(spec.shape)}')
        given[name] = np.zeros(sizes, spec.dtype.as_numpy_dtype)
    return given

  def _spec(self, signature: str) -> transports.SignatureSpec:
    """Types and shapes of a signature."""
    found = self.signatures()
    if signature not in found:
      raise UserError(f'{self._place}: no signature {signature}; it has {", ".join(sorted(found))}')
    return found[signature]

  def _patiently(self, call: Callable[[float], _Answer]) -> _Answer:
    """Calls with the seconds that are left, again while the server is UNAVAILABLE; raises a UserError."""
    deadline, delay_s = time.monotonic() + self._timeout_s, self._first_delay_s
    for number in range(self._tries):
      try:
        return call(max(deadline - time.monotonic(), 1e-3))
      except transports.CallError as error:
        wait_s = delay_s * random.uniform(0.5, 1.)
        is_last = number == self._tries - 1 or time.monotonic() + wait_s >= deadline
        if error.code != transports.UNAVAILABLE or is_last:
          raise UserError(f'{self._place}: {" ".join(error.details.split())} ({error.code}).') from error
        time.sleep(wait_s)
        delay_s = min(2 * delay_s, self._longest_delay_s)
    raise UserError(f'{self._place}: Client.tries must be above 0')


def _has_rows(spec: tf.TensorSpec) -> bool:
  """Whether axis 0 may have any size."""
  return spec.shape.rank > 0 and spec.shape[0] is None


def _readable(images: Sequence[bytes]) -> np.ndarray:
  """Encoded pictures as an array of objects, WebP as PNG: TensorFlow 2.15 has no operation that decodes WebP."""
  return np.array([image_files.encode(image_files.decode_image(data, f'picture {number}'), 'PNG')
                   if data[:4] == b'RIFF' and data[8:12] == b'WEBP' else data
                   for number, data in enumerate(images, 1)], object)


def _padded(parts: Sequence[np.ndarray]) -> list[np.ndarray]:
  """The parts with zeros after the ends of all axes but the first, so that they agree there."""
  largest = np.max([part.shape[1:] for part in parts], axis=0).astype(int)
  return [np.pad(part, [(0, 0), *((0, most - size) for most, size in zip(largest, part.shape[1:]))]) for part in parts]
