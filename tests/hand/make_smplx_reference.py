"""Makes smplx_reference.npz again: `python -m tests.hand.make_smplx_reference [--venv=FOLDER]`.

smplx (the library of MANO's authors) answers for two generated MANO-format files, right and left: vertices, joints and
gradients, with full poses, with the mean pose added, and with 12 principal components. It needs torch, so it runs in a
virtual environment of its own, made on the first run; the tests read the answers only.
"""
import os
import subprocess
import tempfile

import numpy as np
from absl import app, flags

from tests.benchmarks import peers
from tests.hand.mano_files import write_pickle
from tests.hand.model_fixture import random_model

PACKAGES = ['torch==2.13.0', 'smplx==0.1.28', 'numpy', 'scipy']
REFERENCE = os.path.join(os.path.dirname(__file__), 'smplx_reference.npz')
KEPT = np.arange(0, 778, 13)

def inputs() -> dict:
  """What smplx and the layer are asked: four hands, the first in the zero pose."""
  random = np.random.default_rng(7)
  pose = random.normal(scale=0.5, size=[4, 45])
  pose[0] = 0
  return {'hand_pose': pose, 'betas': random.normal(size=[4, 10]), 'global_orient': random.normal(size=[4, 3]),
          'transl': random.normal(size=[4, 3]), 'vertex_weights': random.normal(size=[4, 778, 3]),
          'joint_weights': random.normal(size=[4, 16, 3]), 'kept': KEPT}


def main(_):
  """Writes the reference file."""
  with tempfile.TemporaryDirectory() as folder:
    paths = {f'path_{side}': write_pickle(os.path.join(folder, f'MANO_{side.upper()}.pkl'), random_model(side))
             for side in ('right', 'left')}
    given = os.path.join(folder, 'inputs.npz')
    np.savez(given, **inputs(), **paths)
    script = os.path.join(os.path.dirname(__file__), 'smplx_answers.py')
    subprocess.run([peers.environment(flags.FLAGS.venv, PACKAGES), script, given, REFERENCE], check=True)
  print(f'{REFERENCE}: {os.path.getsize(REFERENCE)} bytes')


if __name__ == '__main__':
  flags.DEFINE_string('venv', os.path.join(tempfile.gettempdir(), 'dhpe_tf_benchmark_smplx'),
                      'Virtual environment for torch and smplx; made if it is not there.')
  app.run(main)
