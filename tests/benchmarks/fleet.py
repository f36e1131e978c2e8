"""Simulates many servers behind a balancer: `python -m tests.benchmarks.fleet --batch_s=1:0.065,8:0.36,32:2.2`.

Requests of one picture come at random times (a Poisson process). A balancer gives each to a server, by chance or to the
one with the fewest waiting. A server takes those that wait, at most as many as fit into a batch, and answers them
together; with a batch of 1 it answers one after the other. How long a batch takes, `tests.benchmarks.serving
--clients=1` measured: the seconds of a request of so many pictures. Between the sizes measured it is interpolated.
"""
import heapq
from collections.abc import Callable, Mapping

import numpy as np
from absl import app, flags

_BATCH_S = flags.DEFINE_list('batch_s', None, 'Measured: pictures in a batch:seconds, with commas between.')
_RATE = flags.DEFINE_float('rate', 10_000., 'Pictures a second that are asked for.', lower_bound=1e-3)
_PATIENCE_S = flags.DEFINE_float('patience_s', 1., '99% of the requests must be answered within this time.')
_REQUESTS = flags.DEFINE_integer('requests', 200_000, 'Requests in each simulation.', lower_bound=1000)

CHANCE, FEWEST = 'by chance', 'to the fewest waiting'


def interpolated(measured: Mapping[int, float]) -> Callable[[int], float]:
  """Seconds of a batch by its size, from some sizes that were measured; above the largest in proportion to it."""
  sizes = sorted(measured)
  times_s = [measured[size] for size in sizes]

  def batch_s(size: int) -> float:
    if size > sizes[-1]:
      return times_s[-1] * size / sizes[-1]
    return float(np.interp(size, sizes, times_s))
  return batch_s


def simulate(servers: int, rate: float, batch_s: Callable[[int], float], most: int, balance: str, requests: int,
             seed: int = 0) -> np.ndarray:
  """Seconds from asking to the answer, of each request.

  Args:
    servers: their number.
    rate: requests a second.
    batch_s: seconds that a server takes for a batch of a size.
    most: largest size of a batch.
    balance: CHANCE or FEWEST.
    requests: their number.
    seed: of the times at which they come.
  """
  random = np.random.RandomState(seed)
  arrivals_s = np.cumsum(random.exponential(1 / rate, requests))
  chosen = random.randint(servers, size=requests)
  waiting, held, free_s = [[] for _ in range(servers)], np.zeros(servers, int), np.zeros(servers)
  done_s, ends = np.zeros(requests), []

  def start(server: int, now_s: float) -> None:
    """Lets an idle server take what waits for it."""
    batch, waiting[server] = waiting[server][:most], waiting[server][most:]
    free_s[server] = now_s + batch_s(len(batch))
    done_s[batch] = free_s[server]
    heapq.heappush(ends, (free_s[server], server, len(batch)))

  def finish_until(now_s: float) -> None:
    """Ends the batches that are done by then; their servers go on."""
    while ends and ends[0][0] <= now_s:
      end_s, server, size = heapq.heappop(ends)
      held[server] -= size
      if waiting[server]:
        start(server, end_s)

  for number, now_s in enumerate(arrivals_s):
    finish_until(now_s)
    server = chosen[number] if balance == CHANCE else int(np.argmin(held))
    waiting[server].append(number)
    held[server] += 1
    if held[server] == 1:
      start(server, now_s)
  finish_until(np.inf)
  return done_s - arrivals_s


def servers_needed(rate: float, batch_s: Callable[[int], float], most: int, balance: str, requests: int,
                   patience_s: float) -> int:
  """The fewest servers with which 99% of the requests are answered within `patience_s`, to about 1%."""
  def suffice(servers: int) -> bool:
    # A part of a large fleet tells the same, and in it each server lives longer with as many requests.
    part = min(servers, 16)
    found_s = simulate(part, rate * part / servers, batch_s, most, balance, requests)
    # The queues are empty at first, so the first tenth says little.
    return np.percentile(found_s[requests // 10:], 99) <= patience_s
  least = rate * min(batch_s(size) / size for size in range(1, most + 1))
  low, high = max(int(least), 1), max(int(least), 1)
  while not suffice(high):
    low, high = high, 2 * high
  while high - low > max(1, low // 100):
    middle = (low + high) // 2
    low, high = (low, middle) if suffice(middle) else (middle, high)
  return high


def main(argv: list[str]) -> None:
  """Prints a table."""
  del argv
  measured = {int(size): float(time_s) for size, time_s in (entry.split(':') for entry in _BATCH_S.value)}
  batch_s = interpolated(measured)
  if batch_s(1) > _PATIENCE_S.value:
    raise app.UsageError(f'a single picture takes {batch_s(1)} s, which is more than --patience_s')
  print(f'{_RATE.value:.0f} pictures/s, 99% of them within {_PATIENCE_S.value:g} s\n')
  print('| batches of at most | balanced | servers | load of each | pictures/s of each |\n|' + 5 * ' --- |')
  for most in (1, *(size for size in sorted(measured) if size > 1 and batch_s(size) < _PATIENCE_S.value)):
    best_rate = max(size / batch_s(size) for size in range(1, most + 1))
    for balance in (CHANCE, FEWEST):
      count = servers_needed(_RATE.value, batch_s, most, balance, _REQUESTS.value, _PATIENCE_S.value)
      each = _RATE.value / count
      print(f'| {most} | {balance} | {count} | {each / best_rate:.2f} | {each:.1f} |', flush=True)


if __name__ == '__main__':
  flags.mark_flag_as_required('batch_s')  # here, because an import of this module asks no other program for it
  app.run(main)
