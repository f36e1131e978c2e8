"""Times and judges the renderer: `python -m tests.benchmarks.rendering`.

Costs are medians in ms, ours and DEODR's (a C++ renderer, in a virtual environment and process of its own) taking
turns, on the same random poses of the built-in hand: g224 is a hand of 100 px in 224x224, g64 one of 50 px in 64x64.
Each target is printed with the ratio that this run gave. Quality tables follow; --quality=false leaves them out.
"""
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from dhpe_tf.rendering import rasterizer
from dhpe_tf.rendering.silhouette import silhouette
from tests.benchmarks import peers, rendering_views, silhouette_quality
from tests.rendering import scenes

_VENV = flags.DEFINE_string('venv', os.path.join(tempfile.gettempdir(), 'dhpe_tf_benchmark_deodr'),
                            'Virtual environment for deodr; made if it is not there.')
_ROUNDS = flags.DEFINE_integer('rounds', 7, 'Turns of ours and the peer.')
_BATCHES = flags.DEFINE_list('batches', ['1', '8', '32'], 'Batch sizes.')
_THREADS = flags.DEFINE_integer('threads', 0, 'Threads of ours (DEODR has one); 0 leaves it to TensorFlow.')
_QUALITY = flags.DEFINE_bool('quality', True, 'Whether to print the quality tables.')
_STARTS = flags.DEFINE_integer('starts', 50, 'Wrong poses to recover from.')
_MEMORY = flags.DEFINE_string('memory_of', '', 'Internal: METHOD:SETTING:BATCH whose peak memory to print.')

PACKAGES = ['deodr==0.2.3', 'numpy>=2', 'scipy', 'typing_extensions', 'trimesh', 'pillow']
METHODS = ('exact_area', 'soft', 'splat', 'kato')
# (what, setting, batch) -> (peer, target ratio an image).
TARGETS = {('hard', 'g224', 8): ('hard', 4.)}
TARGETS.update({('exact_area', setting, batch): ('both', 1.2 if batch == 1 else .5)
                for setting in rendering_views.SETTINGS for batch in (1, 8, 32)})
TARGETS.update({('soft', 'g224', 1): ('both', 8.), ('soft', 'g64', 1): ('both', 3.5)})


def make_call(what, setting, batch):
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


def _milliseconds(call):
  start = time.perf_counter()
  call()
  return 1000 * (time.perf_counter() - start)


def print_costs(peer, folder):
  """The cost table: ms a call and an image, and ratios to DEODR an image."""
  files = {}
  for setting in rendering_views.SETTINGS:
    files[setting] = os.path.join(folder, f'{setting}.npz')
    np.savez(files[setting], vertices=rendering_views.hand_views(setting, 32), faces=rendering_views.faces())
  print(f'\n{"forward + backward":<20}{"setting":>8}{"batch":>6}{"ms a call":>11}{"ms an image":>12}'
        f'{"DEODR an image":>16}{"ratio":>8}{"target":>8}')
  for setting, (size, _) in rendering_views.SETTINGS.items():
    for batch in map(int, _BATCHES.value):
      calls = {what: make_call(what, setting, batch) for what in ('hard', *METHODS) if batch == 1 or what in (
          'hard', 'exact_area')}
      times = {name: [] for name in (*calls, 'DEODR hard', 'DEODR both')}
      for call in calls.values():
        call()
      for _ in range(_ROUNDS.value):
        for what, call in calls.items():
          times[what].append(_milliseconds(call))
        for what in ('hard', 'both'):
          times[f'DEODR {what}'] += peer.ask(file=files[setting], size=size, what=what, batch=batch, calls=1)
      medians = {name: statistics.median(values) / batch for name, values in times.items()}
      for what in calls:
        other, target = TARGETS.get((what, setting, batch), ('hard' if what == 'hard' else 'both', None))
        theirs = medians[f'DEODR {other}']
        label = 'hard (forward only)' if what == 'hard' else what
        print(f'{label:<20}{setting:>8}{batch:>6}{medians[what] * batch:>11.2f}{medians[what]:>12.2f}{theirs:>16.2f}'
              f'{medians[what] / theirs:>8.2f}{"" if target is None else f"{target:.2f}":>8}', flush=True)
      if batch == 1 and setting == 'g224':
        ratio = medians['soft'] / medians['splat']
        print(f'{"soft / splat":<20}{setting:>8}{batch:>6}{"":>39}{ratio:>8.2f}{.25:>8.2f}')


def print_brute_force(count=2):
  """Compares the hard mask with brute force in every pixel."""
  views, faces = rendering_views.hand_views('g224', count).astype(np.float32), rendering_views.faces()
  mask = rasterizer.rasterize(views, faces, (224, 224)).foreground_mask.numpy()[..., 0] > 0
  start = time.perf_counter()
  brute = np.stack([np.isfinite(scenes.brute_force_depth(view, faces, (224, 224))).any(axis=0) for view in views])
  print(f'\nhard mask: {(mask != brute).sum()} of {mask.size} pixels differ from brute force, '
        f'which takes {1000 * (time.perf_counter() - start) / count:.0f} ms an image')


def print_memory():
  """Peak memory of forward + backward, each in a process of its own."""
  print('\npeak memory of forward + backward, MB (target: exact_area g224 at 32: 60; soft: 15 an image)')
  for method in ('exact_area', 'soft'):
    for batch in _BATCHES.value:
      run = subprocess.run([sys.executable, '-m', 'tests.benchmarks.rendering', f'--memory_of={method}:g224:{batch}'],
                           capture_output=True, text=True, check=True)
      print(f'{method:<12} g224 batch {batch:>3}: {float(run.stdout.splitlines()[-1]):7.1f}', flush=True)


def measure_memory(what, setting, batch):
  """Prints by how much repeated calls raise the process' memory at its peak, MB (Linux only)."""
  make_call(what, 'g64', 1)()
  call = make_call(what, setting, int(batch))
  before = _memory('VmRSS')
  with open('/proc/self/clear_refs', 'w', encoding='utf-8') as file:
    file.write('5')  # forgets the peak so far
  for _ in range(5):
    call()
  print(_memory('VmHWM') - before)


def _memory(name):
  """A figure of the process' status, MB."""
  with open('/proc/self/status', encoding='utf-8') as file:
    return next(int(line.split()[1]) / 1024 for line in file if line.startswith(name))


def print_quality():
  """The comparison of the silhouettes."""
  print(f'\n{"":<12}{"error on the boundary":>24}{"IoU with hard":>18}{"jumps":>8}{"differences > 10% off":>24}'
        f'{"60 steps: IoU, worst tenth":>28}{"vertex error px":>18}')
  print(f'{"":<12}{"g224":>14}{"g64":>10}{"g224":>10}{"g64":>8}{"g224":>8}{"vertices":>14}{"pose":>10}{"":>28}'
        f'{"before":>10}{"after":>8}')
  for method in METHODS:
    (error, overlap), (small_error, small_overlap) = (
        silhouette_quality.accuracy(method, setting, 8) for setting in ('g224', 'g64'))
    vertex, pose = silhouette_quality.difference_failures(method, 'g64', 32)
    fit, worst, before, after = silhouette_quality.recovery(method, _STARTS.value)
    print(f'{method:<12}{error:>14.4f}{small_error:>10.4f}{overlap:>10.3f}{small_overlap:>8.3f}'
          f'{silhouette_quality.jumps(method, "g224", 2):>8.1f}{vertex:>14.2f}{pose:>10.2f}{fit:>20.3f}{worst:>8.3f}'
          f'{before:>10.1f}{after:>8.1f}', flush=True)


def main(_):
  """Prints the tables."""
  if _MEMORY.value:
    measure_memory(*_MEMORY.value.split(':'))
    return
  if _THREADS.value:
    tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    tf.config.threading.set_inter_op_parallelism_threads(_THREADS.value)
  print_brute_force()
  peer = peers.Peer(peers.environment(_VENV.value, PACKAGES),
                    os.path.join(os.path.dirname(__file__), 'deodr_peer.py'))
  with tempfile.TemporaryDirectory() as folder:
    print_costs(peer, folder)
  peer.close()
  print_memory()
  if _QUALITY.value:
    print_quality()


if __name__ == '__main__':
  app.run(main)
