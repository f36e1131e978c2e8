"""Times a served model under load: `python -m tests.benchmarks.serving --model=exported/dhpe_hand/1`.

A loopback server runs in a process of its own, once with and once without request batching. Clients ask it by gRPC, one
request after the other, for a time. `refine` takes its steps as a scalar, which no batch of several requests can hold,
so it is measured without batching only. The clients share the processors with the server.
"""
import math
import threading
import time

import numpy as np
from absl import app, flags

from dhpe_tf.data import image_files
from dhpe_tf.serving.client import Client
from tests.finding.hands import rendered
from tests.serving import servers

_MODEL = flags.DEFINE_string('model', 'exported/dhpe_hand/1', 'Folder of a version of an export that sees pictures.')
_CLIENTS = flags.DEFINE_integer('clients', 8, 'Clients that ask at the same time.', lower_bound=1)
_SECONDS = flags.DEFINE_float('seconds', 20., 'Time of each measurement.', lower_bound=0.1)
_ROWS = flags.DEFINE_list('rows', ['1', '8', '32'], 'Pictures in each request.')
_STEPS = flags.DEFINE_list('steps', ['0', '10', '50'], 'Steps of refinement.')

BATCHING = ('--batching', '--max_batch_size=32', '--batch_timeout_s=0.01')
ENCODED = ('predict_encoded_status', 'predict_hands')
WANTED = 10_000  # pictures a second
LOAD = 0.6  # share of its throughput at which a server is run, so that peaks do not queue


def measure(address: str, model: str, signature: str, inputs: dict, rows: list[str], clients: int,
            seconds: float) -> list[float]:
  """Returns the seconds of each request that clients have sent within a time, after one each to warm up.

  Args:
    address: of the server's gRPC interface.
    model: its name there.
    signature: to be called.
    inputs: of each request.
    rows: names of the inputs with one row for each picture.
    clients: number of clients.
    seconds: the time.
  """
  ready = threading.Barrier(clients)

  def work(_: int) -> list[float]:
    times_s = []
    try:
      with Client(address, model, timeout_s=600., batch_size=10**6) as client:
        client.predict(signature, inputs, rows=rows)
        ready.wait()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
          start = time.perf_counter()
          client.predict(signature, inputs, rows=rows)
          times_s.append(time.perf_counter() - start)
    except BaseException:
      ready.abort()  # or else the others would wait for ever
      raise
    return times_s
  return [time_s for times_s in servers.at_once(work, range(clients)) for time_s in times_s]


def servers_needed(pictures_per_s: float) -> int:
  """Servers of this kind for `WANTED` pictures a second at a load of `LOAD`."""
  return math.ceil(WANTED / (LOAD * pictures_per_s))


def cases() -> list[tuple[str, int, dict]]:
  """Signature, pictures in a request, and further inputs, of all measurements."""
  plain = [('serving_default', int(rows), {}) for rows in _ROWS.value]
  refined = [('refine', 1, {'steps': int(steps)}) for steps in _STEPS.value]
  return [*plain, *((name, 1, {}) for name in ENCODED), *refined]


def given(signature: str, size: int, rows: int) -> np.ndarray:
  """The images of a request: a rendered hand in a picture, encoded, or for signatures of crops noise."""
  if signature in ENCODED:
    return np.array([image_files.encode(rendered()[0][0], 'JPEG', quality=90)] * rows, object)
  return np.random.RandomState(0).uniform(size=[rows, size, size, 3]).astype(np.float32)


def report(address: str, batching: bool) -> None:
  """Prints a row for each case."""
  name = _MODEL.value.rstrip('/').split('/')[-2]
  with Client(address, name) as client:
    signatures = client.signatures()
  size = signatures['serving_default'].inputs['images'].shape[1]
  for signature, rows, further in cases():
    if signature not in signatures or (batching and signature == 'refine'):
      continue
    inputs = {'images': given(signature, size, rows), **further}
    times_s = measure(address, name, signature, inputs, ['images'], _CLIENTS.value, _SECONDS.value)
    # Requests that began in time end after it.
    rate = rows * len(times_s) / max(_SECONDS.value, sum(times_s) / _CLIENTS.value)
    p50, p99 = (1000 * np.percentile(times_s, share) for share in (50, 99))
    print(f'| {signature} | {rows} | {further.get("steps", "")} | {"yes" if batching else "no"} | {len(times_s)} | '
          f'{rate:.1f} | {p50:.0f} | {p99:.0f} | {servers_needed(rate)} |', flush=True)


def main(argv: list[str]) -> None:
  """Prints a table."""
  del argv
  columns = ['signature', 'pictures a request', 'steps', 'batching', 'requests', 'pictures/s', 'p50, ms', 'p99, ms',
             f'servers for {WANTED} pictures/s']
  print(f'{_CLIENTS.value} clients\n\n| {" | ".join(columns)} |\n|{" --- |" * len(columns)}')
  for batching in (False, True):
    with servers.running(_MODEL.value, *(BATCHING if batching else ())) as server:
      report(server.grpc, batching)


if __name__ == '__main__':
  app.run(main)
