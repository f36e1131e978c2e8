"""Runs smplx on generated files: `python smplx_answers.py IN.npz OUT.npz`; needs torch and smplx, not dhpe_tf.

See make_smplx_reference.py, which starts it.
"""
import sys

import numpy as np
import smplx
import torch

SIDES = {'right': True, 'left': False}
INPUTS = ('hand_pose', 'betas', 'global_orient', 'transl')


def answer(path, is_right, given, options, kept):
  """Vertices (some), joints and the gradients of a weighted sum of all vertices and joints, in float64."""
  layer = smplx.MANO(path, is_rhand=is_right, batch_size=len(given['betas']), dtype=torch.float64, **options)
  inputs = {name: torch.tensor(given[name], requires_grad=True) for name in INPUTS}
  output = layer(**inputs)
  joints = output.joints[:, :16]
  total = (output.vertices * torch.tensor(given['vertex_weights'])).sum() + (
      joints * torch.tensor(given['joint_weights'])).sum()
  gradients = torch.autograd.grad(total, list(inputs.values()))
  answers = {'vertices': output.vertices[:, kept], 'joints': joints,
             **{f'gradient_{name}': x for name, x in zip(INPUTS, gradients)}}
  return {name: x.detach().numpy() for name, x in answers.items()}


def main():
  with np.load(sys.argv[1]) as stored:
    given = dict(stored)
  results = {}
  for side, is_right in SIDES.items():
    path = str(given[f'path_{side}'])
    cases = {'full': dict(use_pca=False, flat_hand_mean=True),
             'mean': dict(use_pca=False, flat_hand_mean=False),
             'pca': dict(use_pca=True, num_pca_comps=12, flat_hand_mean=False)}
    for case, options in cases.items():
      inputs = {**given, 'hand_pose': given['hand_pose'][:, :12] if case == 'pca' else given['hand_pose']}
      for name, value in answer(path, is_right, inputs, options, given['kept']).items():
        results[f'{side}_{case}_{name}'] = value
  np.savez_compressed(sys.argv[2], **results)


if __name__ == '__main__':
  main()
