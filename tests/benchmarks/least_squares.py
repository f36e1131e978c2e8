"""Times Levenberg-Marquardt on landmark evidence: `python -m tests.benchmarks.least_squares` prints a Markdown table.

Random hands of the built-in model are fitted to their own joints (`methods.dhpe.landmarks.misfit`), with derivatives in
closed form and with those of the gradient tape, one after the other in the same process. No fit may stop early. One
thread for an operation, because one hand gives too little work for two.
"""
import statistics
import time
from collections.abc import Callable

import tensorflow as tf
from absl import app, flags

_BATCHES = flags.DEFINE_list('batches', ['1', '8'], 'Numbers of hands.')
_ITERATIONS = flags.DEFINE_integer('iterations', 20, 'Iterations of a fit.', lower_bound=1)
_CALLS = flags.DEFINE_integer('calls', 15, 'Fits of each kind, of which the median counts.', lower_bound=1)


def fits(count: int) -> dict[str, Callable[[], tf.Tensor]]:
  """The two kinds of fit of some random hands, each a function that returns the costs at its end `[B]`."""
  from dhpe_tf.hand.hand_model import load_hand_model
  from dhpe_tf.methods.dhpe.landmarks import hand_state, misfit, random_hands
  from dhpe_tf.optimization import least_squares
  state = hand_state.HandState(load_hand_model())
  fit = misfit.Misfit(state)
  evidence = random_hands.RandomHands(state, poses=200).sample(count, tf.constant([0, 1])).evidence()
  start, base = state.start(evidence)

  def kind(linearised: Callable) -> Callable[[], tf.Tensor]:
    return tf.function(lambda: least_squares.minimise_squares(
        linearised, start, _ITERATIONS.value, tolerance=0.).cost, autograph=False)
  return {'tape': kind(least_squares.by_tape(lambda rows: fit.residuals(rows, start, base, evidence))),
          'closed form': kind(lambda x: fit.linearised(x, start, base, evidence))}


def milliseconds(function: Callable[[], tf.Tensor]) -> float:
  """The median time of a call, after a first one that builds the graph."""
  function()
  times = []
  for _ in range(_CALLS.value):
    start = time.perf_counter()
    function().numpy()
    times.append(1000 * (time.perf_counter() - start))
  return statistics.median(times)


def main(argv: list[str]) -> None:
  """Prints the times and the largest relative difference of the costs."""
  del argv
  tf.config.threading.set_intra_op_parallelism_threads(1)
  print(f'{_ITERATIONS.value} iterations; TensorFlow {tf.__version__}\n')
  print('| hands | tape, ms | closed form, ms | ratio | largest difference of costs |\n| --- | --- | --- | --- | --- |')
  for count in map(int, _BATCHES.value):
    both = fits(count)
    times = {name: milliseconds(function) for name, function in both.items()}
    tape, closed = (both[name]() for name in ('tape', 'closed form'))
    difference = float(tf.reduce_max(tf.abs(closed - tape) / tape))
    ratio = times['closed form'] / times['tape']
    print(f'| {count} | {times["tape"]:.1f} | {times["closed form"]:.1f} | {ratio:.2f} | {difference:.1e} |')


if __name__ == '__main__':
  app.run(main)
