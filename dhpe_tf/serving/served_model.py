"""The versions of one model on a server: the newest is loaded beside the old one, which leaves when nobody uses it.

Like native_session this file imports nothing of dhpe_tf.
"""
import contextlib
import os
import threading
from collections.abc import Iterator, Sequence
from typing import Optional

import numpy as np
import tensorflow as tf

from .batching import INVALID_ARGUMENT, UNAVAILABLE, Arrays, Batcher, Batching, ServingError
from .native_session import NativeSession, RunError

NOT_FOUND = 5
_DEFAULT = 'serving_default'
_WARM_UP = os.path.join('assets.extra', 'tf_serving_warmup_requests')


class _Version:
  """A loaded version."""

  def __init__(self, folder: str, batching: Optional[Batching], warm: bool):
    """Loads the version and, if `warm`, replays its warm-up requests."""
    self.number = int(os.path.basename(folder))
    self.session = NativeSession(folder, optimize=warm)
    self.batcher = Batcher(self.session.run, batching) if batching else None
    self.users, self.is_retired = 0, False
    path = os.path.join(folder, _WARM_UP)
    if warm and os.path.exists(path):
      _replay(self.session, path)

  def predict(self, signature: str, inputs: Arrays, wanted: Sequence[str]) -> Arrays:
    """Answers a request, in a batch if it asks for all outputs."""
    spec = self.session.check(signature, inputs)
    missing = sorted(set(wanted) - set(spec.outputs))
    if missing:
      raise ServingError(INVALID_ARGUMENT, f'no outputs {", ".join(missing)}')
    is_batched = self.batcher is not None and set(wanted or spec.outputs) == set(spec.outputs)
    outputs = (self.batcher if is_batched else self.session).run(signature, inputs)
    return {name: outputs[name] for name in wanted or outputs}

  def close(self) -> None:
    """Frees everything."""
    if self.batcher:
      self.batcher.close()
    self.session.close()


class ServedModel:
  """A model of which requests are answered by one version at a time.

  Attributes:
    name: of the model, that of its folder.
  """

  def __init__(self, folder: str, batching: Optional[Batching] = None, poll_s: float = 1., warm: bool = True):
    """Loads the newest version.

    Args:
      folder: `.../<name>`, whose newest version is served and replaced by newer ones, or `.../<name>/<version>`.
      batching: settings of request batching; None for none.
      poll_s: seconds between looks at the folder.
      warm: whether to optimize graphs and to replay warm-up requests, as TensorFlow Serving does. Without, a version
        is ready much sooner, and its first answer by each signature takes seconds.
    """
    self._folder, self._batching, self._warm = os.path.abspath(folder), batching, warm
    self._lock = threading.Lock()
    self._is_fixed = os.path.basename(self._folder).isdigit()
    self.name = os.path.basename(os.path.dirname(self._folder) if self._is_fixed else self._folder)
    self._current = _Version(self._newest(), batching, warm)
    self._stopped = threading.Event()
    if not self._is_fixed:
      threading.Thread(target=self._poll, args=[poll_s], daemon=True).start()

  @property
  def version(self) -> int:
    """The number of the version that answers now."""
    return self._current.number

  def signatures(self, name: str, version: Optional[int] = None) -> tuple[int, dict]:
    """The version that answers, and its SignatureDefs by name; raises a ServingError, see `predict`."""
    with self._used(name, version) as used:
      return used.number, used.session.signatures

  def predict(self, name: str, version: Optional[int], signature: str, inputs: Arrays,
              wanted: Sequence[str] = ()) -> tuple[int, Arrays]:
    """Answers a request.

    Args:
      name: of the model.
      version: None for the one that is served.
      signature: its name; empty for serving_default.
      inputs: arrays by name.
      wanted: names of the outputs; none for all.

    Returns:
      The version that answered, and the outputs by name.

    Raises:
      ServingError: another model or version, or what TensorFlow complains about.
    """
    with self._used(name, version) as used:
      try:
        return used.number, used.predict(signature or _DEFAULT, inputs, wanted)
      except RunError as error:
        raise ServingError(error.code, str(error)) from error

  def close(self) -> None:
    """Stops to look for versions and answers nothing any more."""
    self._stopped.set()
    with self._lock:
      current, self._current = self._current, None
    if current is not None:
      self._retire(current)

  def refresh(self) -> None:
    """Loads a newer version if there is one and lets it answer; the old one is freed after its last request."""
    folder = self._newest()
    if int(os.path.basename(folder)) == self.version:
      return
    loaded = _Version(folder, self._batching, self._warm)
    with self._lock:
      old, self._current = self._current, loaded
    self._retire(old)

  def _retire(self, version: _Version) -> None:
    """Frees a version now, or by its last user."""
    with self._lock:
      version.is_retired = True
      is_free = not version.users
    if is_free:
      version.close()

  @contextlib.contextmanager
  def _used(self, name: str, version: Optional[int]) -> Iterator[_Version]:
    """The version that answers, which is not freed in the block."""
    with self._lock:
      found = self._current
      if found is None:
        raise ServingError(UNAVAILABLE, 'the server is about to stop')
      if name != self.name or version not in (None, found.number):
        raise ServingError(NOT_FOUND, f'no model {name}; there is {self.name} version {found.number}')
      found.users += 1
    try:
      yield found
    finally:
      with self._lock:
        found.users -= 1
        is_free = found.is_retired and not found.users
      if is_free:
        found.close()

  def _newest(self) -> str:
    """The folder of the newest version."""
    if self._is_fixed:
      return self._folder
    numbers = [int(name) for name in os.listdir(self._folder) if name.isdigit()]
    if not numbers:
      raise ServingError(NOT_FOUND, f'{self._folder} holds no version')
    return os.path.join(self._folder, str(max(numbers)))

  def _poll(self, poll_s: float) -> None:
    """Looks for newer versions until the model is closed; one that cannot be loaded is tried again."""
    while not self._stopped.wait(poll_s):
      with contextlib.suppress(ServingError, RunError):
        self.refresh()


def _replay(session: NativeSession, path: str) -> None:
  """Runs the warm-up requests of a file."""
  from tensorflow_serving.apis import prediction_log_pb2
  for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
    request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
    inputs = {name: np.asarray(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
    session.run(request.model_spec.signature_name, inputs)
