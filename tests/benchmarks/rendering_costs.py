"""What rendering costs: times of ours and of the peers, taking turns, and the memory of ours."""
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
# Calls in one turn, by batch size.
_CALLS = {1: 10, 8: 3, 32: 1}


def make_call(what: str, setting: str, batch: int) -> Callable[[], list[np.ndarray]]:
  """A function that renders the batch once and waits for the result: what is 'hard' or a silhouette's method."""
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
  """Times calls in turns; results are kept, and medians are ms an image.

  Args:
    folder: for DEODR's virtual environment and the compiled op; made if it is not there.
    clock: 'wall' or 'cpu' (of all threads).
    rounds: turns.
  """

  def __init__(self, folder: str, clock: str, rounds: int):
    self._folder, self._clock, self._rounds = folder, clock, rounds
    self._medians = {}
    self._views = tempfile.TemporaryDirectory()
    self._peer = peers.Peer(peers.environment(os.path.join(folder, 'deodr'), PACKAGES),
                            os.path.join(os.path.dirname(__file__), 'deodr_peer.py'))

  def close(self) -> None:
    """Ends the peer's process."""
    self._peer.close()
    self._views.cleanup()

  def medians(self, names: tuple[str, ...], setting: str, batch: int) -> dict[str, float]:
    """ms an image of each: 'hard', a silhouette's method, 'DEODR hard' or 'DEODR both', 'op' (nan if there is none)."""
    if (names, setting, batch) not in self._medians:
      self._medians[names, setting, batch] = self._measure(names, setting, batch)
    return self._medians[names, setting, batch]

  def _measure(self, names, setting, batch):
    turns = {name: self._turn(name, setting, batch) for name in names}
    times = {name: [] for name in names}
    for _ in range(self._rounds):
      for name, turn in turns.items():
        times[name] += turn()
    return {name: statistics.median(values) / batch for name, values in times.items()}

  def _turn(self, name, setting, batch):
    """A function that makes some calls and returns the ms of each; a first one is not counted."""
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
    path = os.path.join(self._views.name, f'{setting}.npz')
    if not os.path.exists(path):
      np.savez(path, vertices=rendering_views.hand_views(setting, 32), faces=rendering_views.faces())
    return path


def peak_memory(method: str, setting: str, batch: int, returned: bool) -> float:
  """Peak memory of forward + backward in a process of its own, MB (Linux only).

  Args:
    method: of the silhouette.
    setting: of `rendering_views`.
    batch: images.
    returned: whether glibc is told to return freed blocks at once. It then counts what is in use at one time; if not,
      also what the allocator keeps for later.
  """
  environment = dict(os.environ, **({'MALLOC_MMAP_THRESHOLD_': '1000000'} if returned else {}))
  run = subprocess.run([sys.executable, '-m', 'tests.benchmarks.rendering', f'--memory_of={method}:{setting}:{batch}'],
                       env=environment, capture_output=True, text=True, check=True)
  return float(run.stdout.splitlines()[-1])


def measure_memory(what: str, setting: str, batch: int) -> float:
  """By how much repeated calls raise this process' memory at its peak, MB."""
  make_call(what, 'g64', 1)()
  call = make_call(what, setting, batch)
  before = _memory('VmRSS')
  with open('/proc/self/clear_refs', 'w', encoding='utf-8') as file:
    file.write('5')  # forgets the peak so far
  for _ in range(5):
    call()
  return _memory('VmHWM') - before


def _memory(name):
  """A figure of the process' status, MB."""
  with open('/proc/self/status', encoding='utf-8') as file:
    return next(int(line.split()[1]) / 1024 for line in file if line.startswith(name))
