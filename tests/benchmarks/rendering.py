"""Times and judges the renderer: `python -m tests.benchmarks.rendering` prints Markdown tables for the README.

The first table lists targets and the results of this run. Costs are ratios of median times an image, ours divided by a
peer's; both draw the same random poses of the built-in hand, in alternation. g224 is a hand of 100 px in 224 x 224, g64
one of 50 px in 64 x 64. Peers are DEODR (C++, in its own virtual environment and process) and tensorflow-graphics'
compiled rasterizer op and its splat. The second table compares the silhouettes. --only selects parts: hard, exact_area,
soft, quality.
"""
import math
import os
import tempfile
import time
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from absl import app, flags

from dhpe_tf.rendering import rasterizer
from dhpe_tf.rendering.silhouette import METHODS
from dhpe_tf.rendering.soft_silhouette import soft_silhouette
from tests.benchmarks import rendering_costs, rendering_views, silhouette_quality
from tests.rendering import scenes

PARTS = ('hard', 'exact_area', 'soft', 'quality')
_ONLY = flags.DEFINE_list('only', list(PARTS), f'Parts to run, of {", ".join(PARTS)}.')
_FOLDER = flags.DEFINE_string('folder', os.path.join(tempfile.gettempdir(), 'dhpe_tf_benchmark_rendering'),
                              'Where the peers are installed and compiled; made if it is not there.')
_CLOCK = flags.DEFINE_enum('clock', 'wall', ['wall', 'cpu'],
                           'What is timed: cpu is the processor time of all threads, steadier on a busy machine.')
_ROUNDS = flags.DEFINE_integer('rounds', 7, 'Turns of ours and the peers.')
_THREADS = flags.DEFINE_integer('threads', 0, 'Threads of ours (the peers have one); 0 leaves it to TensorFlow.')
_STARTS = flags.DEFINE_integer('starts', 50, 'Wrong poses to recover from.')
_MEMORY = flags.DEFINE_string('memory_of', '', 'Internal: METHOD:SETTING:BATCH whose peak memory to print.')

# Printed in place of a ratio if tensorflow-graphics' op could not be compiled.
_NO_OP = 'not available: no compiler, or no sources in the wheel'


class Row(NamedTuple):
  """A row of the table of targets; the target is met if `measured` is at most `target`."""

  what: str
  target: float
  measured: float
  unit: str = ''


def _print_row(row):
  """Prints a row of the table of targets."""
  if math.isnan(row.measured):
    measured, verdict = _NO_OP, ''
  else:
    measured, verdict = f'{row.measured:.3g}{row.unit}', 'met' if row.measured <= row.target else '**missed**'
  print(f'| {row.what} | {row.target:g}{row.unit} | {measured} | {verdict} |', flush=True)


def _hard(timer):
  """Yields the rows of the hard pass."""
  count, size, faces = 2, (224, 224), rendering_views.faces()
  views = rendering_views.hand_views('g224', count).astype(np.float32)
  mask = rasterizer.rasterize(views, faces, size).foreground_mask.numpy()[..., 0] > 0
  brute = np.stack([np.isfinite(scenes.brute_force_depth(view, faces, size)).any(axis=0) for view in views])
  yield Row('hard mask against brute force, g224: pixels that differ', 0, float((mask != brute).sum()))
  for batch in (1, 8):
    times = timer.medians(('hard', 'op', 'DEODR hard'), 'g224', batch)
    if batch == 8:
      yield Row('hard pass / DEODR, g224, batch 8', 4, times['hard'] / times['DEODR hard'])
    yield Row(f'hard pass / tensorflow-graphics op, compiled, g224, batch {batch}', 1.2, times['hard'] / times['op'])


def _exact_area(timer):
  """Yields the rows of the exact-area silhouette."""
  for setting in rendering_views.SETTINGS:
    for batch in (1, 8, 32):
      times = timer.medians(('exact_area', 'DEODR both'), setting, batch)
      yield Row(f'exact area / DEODR, forward + backward, {setting}, batch {batch}', 1.2 if batch == 1 else .5,
                times['exact_area'] / times['DEODR both'])
  for returned in (False, True):
    yield Row('exact area, g224, batch 32: peak memory' + (', what glibc keeps for later left out' if returned else ''),
              60, rendering_costs.peak_memory('exact_area', 'g224', 32, returned), ' MB')
  yield Row('exact area, g224: error of a boundary pixel against 256 samples', .013,
            silhouette_quality.accuracy('exact_area', 'g224', 8)[0])
  yield Row('exact area, g224: pixel jumps in a motion over 1 px', 0, silhouette_quality.jumps('exact_area', 'g224', 2))
  vertices, pose = silhouette_quality.difference_failures('exact_area', 'g64', 128)
  yield Row('exact area, g64: finite differences off by > 10%, vertices', .03, vertices)
  yield Row('exact area, g64: finite differences off by > 10%, pose', 0, pose)


def _soft(timer):
  """Yields the rows of SoftRas."""
  faces = rendering_views.faces()
  view = rendering_views.hand_views('g64', 1)
  error = np.abs(soft_silhouette(view, faces, (64, 64)).numpy()[0]
                 - scenes.brute_force_soft(view[0], faces, (64, 64), 1e-4)).max()
  yield Row('SoftRas against brute force, g64: largest difference', 1e-5, float(error))
  times = timer.medians(('soft', 'splat', 'DEODR both'), 'g224', 1)
  yield Row('SoftRas / splat, forward + backward, g224', .25, times['soft'] / times['splat'])
  yield Row('SoftRas / DEODR, forward + backward, g224', 8, times['soft'] / times['DEODR both'])
  times = timer.medians(('soft', 'DEODR both'), 'g64', 1)
  yield Row('SoftRas / DEODR, forward + backward, g64', 3.5, times['soft'] / times['DEODR both'])
  yield Row('SoftRas, g224, batch 32: peak memory an image', 15,
            rendering_costs.peak_memory('soft', 'g224', 32, False) / 32, ' MB')


def _print_quality(timer):
  """Prints the comparison of the silhouettes."""
  starts = _STARTS.value
  print('\nError is that of a boundary pixel against 256 samples; IoU that of (> 0.5) with the hard mask; jumps are '
        'pixels an image that change by > 0.1 in one of 50 steps over 1 px; differences are trials in which gradient '
        f'and finite difference disagree by > 10%; recovery is from {starts} wrong poses by 60 steps on the 64 px mask '
        'alone.\n')
  columns = ('silhouette', 'error g224', 'error g64', 'IoU g224', 'IoU g64', 'jumps', 'differences: vertices', 'pose',
             'cost / DEODR, g224', 'g64', 'recovery: median IoU', 'worst tenth', 'vertex error px, before', 'after')
  print(f'| {" | ".join(columns)} |\n|{"---|" * len(columns)}')
  for method in METHODS:
    figures = [f'{x:.4f}' for setting in ('g224', 'g64') for x in silhouette_quality.accuracy(method, setting, 8)[:1]]
    figures += [f'{silhouette_quality.accuracy(method, setting, 8)[1]:.3f}' for setting in ('g224', 'g64')]
    figures += [f'{silhouette_quality.jumps(method, "g224", 2):.1f}']
    figures += [f'{x:.2f}' for x in silhouette_quality.difference_failures(method, 'g64', 32)]
    for setting in ('g224', 'g64'):
      times = timer.medians((method, 'DEODR both'), setting, 1)
      figures.append(f'{times[method] / times["DEODR both"]:.2f}')
    overlap, worst, before, after = silhouette_quality.recovery(method, starts)
    print(f'| {" | ".join([method, *figures, f"{overlap:.3f}", f"{worst:.3f}", f"{before:.1f}", f"{after:.1f}"])} |',
          flush=True)


def main(_):
  """Prints the table of targets and the comparison of the silhouettes."""
  if _MEMORY.value:
    what, setting, batch = _MEMORY.value.split(':')
    print(rendering_costs.measure_memory(what, setting, int(batch)))
    return
  unknown = set(_ONLY.value) - set(PARTS)
  if unknown:
    raise app.UsageError(f'--only: no part {", ".join(sorted(unknown))}; there are {", ".join(PARTS)}')
  if _THREADS.value:
    tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    tf.config.threading.set_inter_op_parallelism_threads(_THREADS.value)
  start = time.perf_counter()
  timer = rendering_costs.Timer(_FOLDER.value, _CLOCK.value, _ROUNDS.value)
  print(f'{_CLOCK.value} clock, {os.cpu_count()} cores, threads: {_THREADS.value or "as TensorFlow takes them"}\n')
  tables = [rows for part, rows in (('hard', _hard), ('exact_area', _exact_area), ('soft', _soft))
            if part in _ONLY.value]
  if tables:
    print('| what | target at most | measured | |\n|---|---|---|---|')
  for rows in tables:
    for row in rows(timer):
      _print_row(row)
  if 'quality' in _ONLY.value:
    _print_quality(timer)
  timer.close()
  print(f'\n{time.perf_counter() - start:.0f} s')


if __name__ == '__main__':
  app.run(main)
