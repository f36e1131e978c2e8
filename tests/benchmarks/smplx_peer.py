"""The smplx process of the hand layer's benchmark; it runs in an environment with torch and smplx, without dhpe_tf.

It reads one JSON request a line, {"batch": int, "backward": bool, "calls": int}, and answers with the milliseconds of
each call as a JSON list. Arguments: the MANO file; the number of threads, 0 for torch's default; the clock, wall or
cpu.
"""
import json
import sys
import time

import numpy as np
import smplx
import torch


def _inputs(batch):
  """Random inputs of smplx by name, each [batch, n], with gradient."""
  random = np.random.default_rng(0)
  sizes = {'hand_pose': (45, 0.3), 'betas': (10, 1), 'global_orient': (3, 1), 'transl': (3, 1)}
  return {name: torch.tensor(random.normal(scale=scale, size=[batch, size]), dtype=torch.float32, requires_grad=True)
          for name, (size, scale) in sizes.items()}


def _make_call(path, batch, backward):
  """Returns a function that runs smplx once: forward, or forward and backward."""
  layer = smplx.MANO(path, is_rhand=True, use_pca=False, flat_hand_mean=True, batch_size=batch)
  inputs = _inputs(batch)

  def forward():
    output = layer(**inputs)
    return output.vertices, output.joints

  weights = [torch.randn_like(x) for x in forward()]

  def both():
    loss = sum((x * w).sum() for x, w in zip(forward(), weights))
    return torch.autograd.grad(loss, list(inputs.values()))

  def without_gradient():
    with torch.no_grad():
      return forward()

  return both if backward else without_gradient


def main():
  """Answers requests until the input ends."""
  calls = {}
  clock = time.process_time if sys.argv[3] == 'cpu' else time.perf_counter
  if int(sys.argv[2]):
    torch.set_num_threads(int(sys.argv[2]))
  # smplx prints notices, which must not mix with the answers.
  answers, sys.stdout = sys.stdout, sys.stderr
  print(json.dumps('ready'), file=answers, flush=True)
  for line in sys.stdin:
    request = json.loads(line)
    key = request['batch'], request['backward']
    if key not in calls:
      calls[key] = _make_call(sys.argv[1], *key)
      for _ in range(5):
        calls[key]()
    times = []
    for _ in range(request['calls']):
      start = clock()
      calls[key]()
      times.append(1000 * (clock() - start))
    print(json.dumps(times), file=answers, flush=True)


if __name__ == '__main__':
  main()
