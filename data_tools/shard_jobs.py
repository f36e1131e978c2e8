"""Conversion in pieces: one job makes one shard, in this process, another one, or an Apache Beam pipeline.

Shard i of n holds the keys i, i + n, i + 2n, ... of the reader, so its content depends only on the dataset and the
options. Jobs may run in any order and in parallel, and finished ones need not run again. Until the split is complete
its shards lie in a folder beside it, `.Split-train.partial`.
"""
import dataclasses
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import Any

from tqdm import tqdm

from data_tools.readers import base
from dhpe_tf import command_line, files, json_files
from dhpe_tf.data import encoded_pictures, tfrecords
from dhpe_tf.errors import UserError
from dhpe_tf.tasks.hand.record import HAND_RECORD

_RESULT, _FAILURE, _JOB = '.result.json', '.failure.txt', 'job.json'
# No gzip: pictures are already compressed, so it would take most of the time and save a few per cent.
_COMPRESSION_LEVEL = 0


@dataclasses.dataclass(frozen=True)
class SplitJobs:
  """The jobs of a split.

  Attributes:
    reader: of the dataset.
    split: name of the split.
    shards: number of jobs.
    folder: of shards and results until the split is complete.
    stop_on_error: whether a damaged picture is fatal.
    decode: whether to decode each picture.
  """

  reader: base.Reader
  split: str
  shards: int
  folder: str
  stop_on_error: bool
  decode: bool = False

  def path(self, shard: int) -> str:
    """Path of a shard."""
    return os.path.join(self.folder, tfrecords.shard_name(self.split, shard, self.shards))

  def missing(self) -> list[int]:
    """Numbers of the shards that are not finished."""
    return [shard for shard in range(self.shards) if not os.path.exists(self.path(shard) + _RESULT)]

  def run(self, shard: int, show: bool = False) -> None:
    """Makes a shard and writes its result, or writes a note about the error that stopped it.

    Args:
      shard: its number.
      show: whether to show a progress bar.

    Raises:
      UserError: that error, where no note can be written.
    """
    command_line.quiet()
    keys = list(self.reader.keys(self.split))[shard::self.shards]
    skipped = base.Skipped(fatal=self.stop_on_error)
    checks = {'check': _decode} if self.decode else {}
    found = base.examples(self.reader, self.split, skipped, keys=keys, **checks)
    if show:
      found = tqdm(found, desc=f'{self.split} {shard + 1}/{self.shards}', unit=' hands', total=len(keys),
                   file=sys.stderr, mininterval=1, leave=False)
    try:
      gathered = tfrecords.write_shard(self.path(shard), found, HAND_RECORD, _COMPRESSION_LEVEL)
    except UserError as error:
      try:
        with open(self.path(shard) + _FAILURE, 'w', encoding='utf-8') as file:
          file.write(base.first_line(error))
      except OSError:
        # A full disk takes no note either; then the error itself must reach the others.
        raise error from None
      return
    tfrecords.write_json(self.path(shard) + _RESULT, {'statistics': gathered.state(), 'skipped': skipped.messages})

  def raise_failure(self) -> None:
    """Raises the noted error of a job as a UserError, if there is one."""
    for shard in range(self.shards):
      path = self.path(shard) + _FAILURE
      if os.path.exists(path):
        raise UserError(files.read_text(path))

  def prepare(self, about: dict[str, Any], resume: bool) -> None:
    """Prepares the folder; its finished shards are kept if `resume` and they have the same options.

    Args:
      about: dataset, options and version.
      resume: whether to keep finished shards.

    Raises:
      UserError: the folder cannot be made.
    """
    job = json.loads(json.dumps({'about': about, 'shards': self.shards, 'decoded': self.decode}))
    path = os.path.join(self.folder, _JOB)
    if not resume or _read_json(path) != job:
      files.remove(self.folder)
    try:
      os.makedirs(self.folder, exist_ok=True)
    except OSError as error:
      raise UserError(f'cannot write {self.folder}: {error.strerror}; choose another --output') from error
    for shard in range(self.shards):
      files.remove(self.path(shard) + _FAILURE)
    tfrecords.write_json(path, job)

  def finish(self, root: str) -> tuple[int, list[str]]:
    """Turns the folder into the split of the record set `root`; returns the number of records and the skipped keys."""
    gathered, skipped = HAND_RECORD.new_statistics(), []
    for shard in range(self.shards):
      result = _read_json(self.path(shard) + _RESULT)
      gathered.merge(HAND_RECORD.new_statistics().load(result['statistics']))
      skipped += result['skipped']
    shards = {os.path.basename(self.path(shard)) for shard in range(self.shards)}
    for name in set(os.listdir(self.folder)) - shards:
      files.remove(os.path.join(self.folder, name))
    tfrecords.adopt_split(root, self.split, self.folder, gathered, HAND_RECORD.schema)
    return gathered.count, skipped


def run_here(jobs: SplitJobs, workers: int) -> None:
  """Makes the missing shards in this process, or in `workers` processes; raises a UserError if a job fails."""
  missing = jobs.missing()
  if workers <= 1:
    for shard in missing:
      jobs.run(shard, show=True)
      jobs.raise_failure()
    return
  # Processes are spawned, because TensorFlow's threads do not survive a fork.
  with futures.ProcessPoolExecutor(workers, multiprocessing.get_context('spawn')) as pool:
    running = [pool.submit(jobs.run, shard) for shard in missing]
    for _ in _progress(futures.as_completed(running), jobs, len(missing)):
      if any(future.done() and future.exception() for future in running):
        pool.shutdown(cancel_futures=True)
        next(future for future in running if future.done() and future.exception()).result()
      try:
        jobs.raise_failure()
      except UserError:
        pool.shutdown(cancel_futures=True)
        raise


def run_with_beam(jobs: SplitJobs, runner: str, options: Sequence[str]) -> None:
  """Makes the missing shards by an Apache Beam pipeline with one element for each shard.

  The workers read the dataset and write the shards through the file system, so a runner on other machines needs both
  folders mounted there.

  Args:
    jobs: of a split.
    runner: name of a runner of Apache Beam.
    options: of the runner, such as '--direct_num_workers=2'.

  Raises:
    UserError: Apache Beam is not installed or does not know the runner, or a job failed.
  """
  try:
    import apache_beam as beam
    from apache_beam.options import pipeline_options
  except ImportError as error:
    raise UserError(f'Apache Beam is not installed ({error}); pip install "dhpe_tf[beam]", or leave --beam out'
                    ) from error
  try:
    pipeline = beam.Pipeline(runner=runner, options=pipeline_options.PipelineOptions(list(options)))
  except (ValueError, ImportError, AttributeError) as error:
    raise UserError(f'--runner={runner}: {error}') from error
  with pipeline:
    _ = (pipeline | 'Shards' >> beam.Create(jobs.missing()) | 'Spread' >> beam.Reshuffle()
         | 'Convert' >> beam.Map(jobs.run))
  jobs.raise_failure()


def _decode(example: base.Example) -> None:
  """Decodes the picture of an example; a UserError if that cannot be done."""
  encoded_pictures.check(example['image/encoded'], f'{example["source"]}, picture {example["image/id"]}')


def _progress(done: Iterator, jobs: SplitJobs, total: int) -> Iterator:
  """Wraps the finished jobs in a progress bar."""
  return tqdm(done, desc=jobs.split, unit=' shards', total=total, file=sys.stderr, mininterval=1)


def _read_json(path: str) -> Any:
  """Reads a JSON file; None if it is missing or damaged."""
  try:
    return json_files.read(path)
  except UserError:
    return None
