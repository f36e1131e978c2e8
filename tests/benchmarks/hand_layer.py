"""Times the hand layer against smplx: `python -m tests.benchmarks.hand_layer`.

Both load the same generated file in MANO's format and compute vertices and joints from pose, shape, global rotation and
translation (ours also from a scale); backward adds the gradients by all of them. Prints medians in milliseconds, their
ratios and the target ratios.
"""
import os
import statistics
import tempfile
import time

import tensorflow as tf
from absl import app, flags

from dhpe_tf.hand.hand_model import load_hand_model
from dhpe_tf.hand.mano_layer import ManoLayer
from tests.benchmarks import peers
from tests.hand.mano_files import write_pickle
from tests.hand.model_fixture import mano_like_model, random_inputs

_VENV = flags.DEFINE_string('venv', os.path.join(tempfile.gettempdir(), 'dhpe_tf_benchmark_smplx'),
                            'Virtual environment for torch and smplx; made if it is not there.')
_ROUNDS = flags.DEFINE_integer('rounds', 8, 'Turns of ours and the peer.')
_BATCHES = flags.DEFINE_list('batches', ['1', '32', '256'], 'Batch sizes.')
_THREADS = flags.DEFINE_integer('threads', 0, 'Threads of each side; 0 leaves it to them.')
_CLOCK = flags.DEFINE_enum('clock', 'wall', ['wall', 'cpu'],
                           'What is measured; the processor time of one thread is steady on a busy machine.')

PACKAGES = ['torch==2.13.0', 'smplx==0.1.28', 'numpy', 'scipy']
# (backward, XLA) -> batch size -> target ratio of our time to that of smplx.
TARGETS = {(False, False): {1: 1.5, 32: 1.2, 256: 0.8}, (True, False): {1: 1.25, 32: 1.25, 256: 1.25},
           (False, True): {1: 0.75, 32: 0.75, 256: 0.75}, (True, True): {1: 0.4, 32: 0.4, 256: 0.4}}
# Batch size -> calls in a turn, so that a turn takes some tens of milliseconds.
CALLS = {1: 40, 32: 15, 256: 4}


def _make_call(layer, batch, backward, xla):
  """Returns a function that runs the layer once and returns the milliseconds."""
  inputs = [tf.constant(x, tf.float32) for x in random_inputs(batch, spread=0.3)]

  def forward(*arguments):
    outputs = layer(*arguments)
    return outputs['vertices'], outputs['joints']

  weights = [tf.random.normal(x.shape) for x in forward(*inputs)]

  def both(*arguments):
    with tf.GradientTape() as tape:
      tape.watch(arguments)
      loss = tf.add_n([tf.reduce_sum(x * w) for x, w in zip(forward(*arguments), weights)])
    return tape.gradient(loss, arguments)

  run = tf.function(both if backward else forward, jit_compile=xla)
  for _ in range(5):
    run(*inputs)

  clock = time.process_time if _CLOCK.value == 'cpu' else time.perf_counter

  def timed():
    start = clock()
    results = run(*inputs)
    results[0].numpy()
    return 1000 * (clock() - start)
  return timed


def main(_):
  """Prints times and ratios of our layer and smplx for each batch size, forward and forward + backward."""
  if _THREADS.value:
    tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    tf.config.threading.set_inter_op_parallelism_threads(_THREADS.value)
  with tempfile.TemporaryDirectory() as folder:
    path = write_pickle(os.path.join(folder, 'MANO_RIGHT.pkl'), mano_like_model())
    layer = ManoLayer(load_hand_model(path))
    python = peers.here_or_in(_VENV.value, ['smplx', 'torch'], PACKAGES)
    script = os.path.join(os.path.dirname(__file__), 'smplx_peer.py')
    peer = peers.Peer(python, script, [path, str(_THREADS.value), _CLOCK.value])
    print(f'{"batch":>5} {"what":<20} {"ours":>9} {"ours, XLA":>10} {"smplx":>9}   {"ratio":>6} {"target":>6}'
          f'   {"XLA":>6} {"target":>6}', flush=True)
    for batch in map(int, _BATCHES.value):
      for backward in (False, True):
        ours = {xla: _make_call(layer, batch, backward, xla) for xla in (False, True)}
        times = {False: [], True: [], 'smplx': []}
        for _ in range(_ROUNDS.value):
          for xla, call in ours.items():
            times[xla] += [call() for _ in range(CALLS[batch])]
          times['smplx'] += peer.ask(batch=batch, backward=backward, calls=CALLS[batch])
        medians = {name: statistics.median(values) for name, values in times.items()}
        ratios = [medians[xla] / medians['smplx'] for xla in (False, True)]
        targets = [TARGETS[backward, xla][batch] for xla in (False, True)]
        print(f'{batch:>5} {"forward + backward" if backward else "forward":<20} {medians[False]:>6.2f} ms '
              f'{medians[True]:>7.2f} ms {medians["smplx"]:>6.2f} ms   {ratios[0]:>6.2f} {targets[0]:>6.2f}   '
              f'{ratios[1]:>6.2f} {targets[1]:>6.2f}', flush=True)
    peer.close()


if __name__ == '__main__':
  app.run(main)
