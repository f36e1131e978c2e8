"""Measures the RHD converter in records a second, masks included, at RHD's picture size; target: 300 on 2 cores.

  python -m tests.benchmarks.converters --pictures=2000 --workers=2

The pictures are noise that takes more bytes than RHD's rendered pictures, and the masks are drawn hands. The clock runs
from the first file read to the last shard written. Processor time is the steadier number on a busy machine; it gives
the rate of one core on an idle machine.
"""
import os
import pickle
import tempfile
import time

import numpy as np
from absl import flags
from PIL import Image

from data_tools.readers import rhd
from dhpe_tf import command_line
from dhpe_tf.hand import restricted_pickle
from tests.data_tools.readers import rhd_files

_FLAGS = flags.FlagValues()
flags.DEFINE_integer('pictures', 1000, 'how many pictures', lower_bound=10, flag_values=_FLAGS)
flags.DEFINE_integer('workers', 2, 'processes', lower_bound=1, flag_values=_FLAGS)
flags.DEFINE_boolean('decode_pictures', False, 'as the flag of the converters', flag_values=_FLAGS)
_DRAWN = 10


def main(argv: list[str]) -> None:
  """Converts generated pictures with one process and with --workers, and prints the rates."""
  del argv
  from data_tools import shard_jobs
  with tempfile.TemporaryDirectory() as root:
    size = write(root, _FLAGS.pictures)
    reader = rhd.RhdReader(root)
    print(f'{_FLAGS.pictures} pictures of {size / 1024:.0f} KiB, {os.cpu_count()} cores')
    for workers in sorted({1, _FLAGS.workers}):
      output = os.path.join(root, f'records{workers}')
      jobs = shard_jobs.SplitJobs(reader, 'train', 4 * workers, os.path.join(output, '.Split-train.partial'), True,
                                  _FLAGS.decode_pictures)
      jobs.prepare({}, resume=False)
      start, cpu = time.perf_counter(), time.process_time()
      shard_jobs.run_here(jobs, workers)
      seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
      count, _ = jobs.finish(output)
      note = 'the start of the processes included' if workers > 1 else f'{count / cpu:.0f} a second of processor time'
      print(f'{workers} process(es): {count / seconds:.0f} records/s, {note}')


def write(root: str, count: int) -> float:
  """Writes a training split of `count` pictures in RHD's layout; returns the mean size of a picture in bytes."""
  rhd_files.write(root, (('training', _DRAWN),))
  folder = os.path.join(root, 'RHD_published_v2', 'training')
  path = os.path.join(folder, 'anno_training.pickle')
  annotations = restricted_pickle.load(path)
  random, sizes = np.random.default_rng(0), []
  for i in range(count):
    # Smooth noise is about as hard to compress as a rendered scene.
    noise = Image.fromarray(random.integers(0, 256, [128, 128, 3], np.uint8)).resize((320, 320), Image.BICUBIC)
    picture = os.path.join(folder, 'color', f'{i:05d}.png')
    noise.save(picture, compress_level=1)
    sizes.append(os.path.getsize(picture))
    if i >= _DRAWN:
      with open(os.path.join(folder, 'mask', f'{i % _DRAWN:05d}.png'), 'rb') as source, open(
          os.path.join(folder, 'mask', f'{i:05d}.png'), 'wb') as target:
        target.write(source.read())
      annotations[i] = annotations[i % _DRAWN]
  with open(path, 'wb') as file:
    pickle.dump(annotations, file, protocol=2)
  return float(np.mean(sizes))


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
