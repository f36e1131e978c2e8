"""Costs of rendering: times of ours and of the peers in alternation, and our memory."""
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Callable

import numpy as np
import tensorflow as tf

from dhpe_tf.rendering import rasterizer
from dhpe_tf.rendering.silhouette import silhouette
from tests.benchmarks import peers, rendering_views, tfg_op

PACKAGES = ['deodr==0.2.3', 'numpy>=2', 'scipy', 'typing_extensions', 'trimesh', 'pillow']
# Batch size -> calls in a turn.
_CALLS = {1: 10, 8: 3, 32: 1}


def make_call(what: str, setting: str, batch: int) -> Callable[[], list[np.ndarray]]:
  """Returns a function that renders a batch once and waits for the result.

  Args:
    what: 'hard', or a method of `silhouette`, which is run forward and backward.
    setting: key of `rendering_views.SETTINGS`.
    batch: number of images.
  """
  size = (rendering_views.SETTINGS[setting][0],) * 2
  views = tf.constant(rendering_views.hand_views(setting, batch), tf.float32)
  faces = rendering_views.faces()

  @tf.function
  def hard(v):
    buffer = rasterizer.rasterize(v, faces, size)
    return buffer.triangle_id, buffer.barycentrics.value, buffer.foreground_mask

  @tf.function
  def both(v):
    with tf.GradientTape() as tape:
      tape.watch(v)
      mask = silhouette(v, faces, size, method=what)
      loss = tf.reduce_sum(mask**2)
    return tape.gradient(loss, v)

  call = hard if what == 'hard' else both
  return lambda: [x.numpy() for x in tf.nest.flatten(call(views))]


class Timer:
  """Times calls in alternation and caches the results; medians are milliseconds an image.

  Args:
    folder: of DEODR's virtual environment and the compiled op; made if it is missing.
    clock: 'wall' or 'cpu' (of all threads).
    rounds: number of turns.
  """

  def __init__(self, folder: str, clock: str, rounds: int):
    self._folder, self._clock, self._rounds = folder, clock, rounds
    self._medians = {}
    self._views = tempfile.TemporaryDirectory()
    self._peer = peers.Peer(peers.environment(os.path.join(folder, 'deodr'), PACKAGES),
                            os.path.join(os.path.dirname(__file__), 'deodr_peer.py'))

  def close(self) -> None:
    """Ends the peer's process and removes temporary files."""
    self._peer.close()
    self._views.cleanup()

  def medians(self, names: tuple[str, ...], setting: str, batch: int) -> dict[str, float]:
    """Returns the milliseconds an image of each name.

    Args:
      names: 'hard', a method of `silhouette`, 'DEODR hard' or 'DEODR both', 'op' (NaN if it is not available).
      setting: key of `rendering_views.SETTINGS`.
      batch: number of images.
    """
    if (names, setting, batch) not in self._medians:
      self._medians[names, setting, batch] = self._measure(names, setting, batch)
    return self._medians[names, setting, batch]

  def _measure(self, names, setting, batch):
    """Runs the turns of all names in alternation; returns their medians."""
    turns = {name: self._turn(name, setting, batch) for name in names}
    times = {name: [] for name in names}
    for _ in range(self._rounds):
      for name, turn in turns.items():
        times[name] += turn()
    return {name: statistics.median(values) / batch for name, values in times.items()}

  def _turn(self, name, setting, batch):
    """Returns a function that makes some calls and returns the milliseconds of each; the first call is not counted."""
    size = rendering_views.SETTINGS[setting][0]
    if name.startswith('DEODR'):
      return lambda: self._peer.ask(file=self._file(setting), size=size, what=name.split()[1], batch=batch,
                                    calls=_CALLS[batch], clock=self._clock)
    if name == 'op':
      call = tfg_op.hard_pass(self._folder, rendering_views.hand_views(setting, batch), rendering_views.faces(), size)
      if call is None:
        return lambda: [float('nan')]
    else:
      call = make_call(name, setting, batch)
    clock = time.process_time if self._clock == 'cpu' else time.perf_counter

    def turn():
      times = []
      for _ in range(_CALLS[batch] + 1):
        start = clock()
        call()
        times.append(1000 * (clock() - start))
      return times[1:]

    return turn

  def _file(self, setting):
    """Writes the views of a setting to a file for the peer; returns its path."""
    path = os.path.join(self._views.name, f'{setting}.npz')
    if not os.path.exists(path):
      np.savez(path, vertices=rendering_views.hand_views(setting, 32), faces=rendering_views.faces())
    return path


def peak_memory(method: str, setting: str, batch: int, returned: bool) -> float:
  """Returns the peak memory of forward and backward in a subprocess, MB (Linux only).

  Args:
    method: of `silhouette`.
    setting: key of `rendering_views.SETTINGS`.
    batch: number of images.
    returned: whether glibc returns freed blocks at once; the result is then the memory in use. Otherwise it includes
      blocks that the allocator keeps.
  """
  environment = dict(os.environ, **({'MALLOC_MMAP_THRESHOLD_': '1000000'} if returned else {}))
  run = subprocess.run([sys.executable, '-m', 'tests.benchmarks.rendering', f'--memory_of={method}:{setting}:{batch}'],
                       env=environment, capture_output=True, text=True, check=True)
  return float(run.stdout.splitlines()[-1])


def measure_memory(what: str, setting: str, batch: int) -> float:
  """Returns the rise of this process's peak memory by repeated calls, MB."""
  make_call(what, 'g64', 1)()
  call = make_call(what, setting, batch)
  before = _memory('VmRSS')
  with open('/proc/self/clear_refs', 'w', encoding='utf-8') as file:
    file.write('5')  # resets the peak
  for _ in range(5):
    call()
  return _memory('VmHWM') - before


def _memory(name):
  """Returns a value of /proc/self/status, MB."""
  with open('/proc/self/status', encoding='utf-8') as file:
    return next(int(line.split()[1]) / 1024 for line in file if line.startswith(name))
