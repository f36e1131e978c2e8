import numpy as np
import pytest
from absl import flags

from tests.benchmarks import cross_modal_vae
from tests.methods.dhpe import example_batch


def hands(count=6):
  return example_batch.make_batch(count)['joints_3d'].numpy()


def test_true_pairs_are_together_and_others_apart():
  joints = hands()
  flat = 3 * joints[..., :2] + [0.2, -0.4]
  assert cross_modal_vae.apart(flat, joints) < 1e-5
  assert cross_modal_vae.apart(flat, joints[::-1]) > 0.1


def test_limits_allow_true_hands_only_and_even_steps_are_one():
  joints = hands()
  joints /= np.linalg.norm(joints[:, 9] - joints[:, 0], axis=-1)[:, None, None]
  share, *excess = cross_modal_vae.possible(joints)
  assert share == 1 and max(excess) < 0.05 and len(excess) == 4
  share, *excess = cross_modal_vae.possible(1.2 * joints)
  assert share == 0 and max(excess[:3]) < 0.05 and excess[3] == pytest.approx(0.2, rel=1e-3), 'no hands of another size'
  share, *excess = cross_modal_vae.possible(joints + np.random.default_rng(0).normal(0, 0.2, joints.shape))
  assert share == 0 and min(excess) > 0.05
  walk = joints[:2, None] + np.arange(5)[None, :, None, None] * 0.1
  assert cross_modal_vae.jump(walk) == pytest.approx(1, rel=1e-4)
  walk[:, 3:] += 0.4  # one step five times as long
  assert cross_modal_vae.jump(walk) == pytest.approx(5 / 2, rel=1e-3)


def test_linear_map_finds_an_affine_map():
  random = np.random.default_rng(1)
  first, matrix = random.normal(size=(200, 3)), random.normal(size=(3, 4))
  found = cross_modal_vae.linear_map(first, first @ matrix + 2)
  np.testing.assert_allclose(found(first[:5]), first[:5] @ matrix + 2, atol=1e-4)


def test_few_hands_are_as_many_as_the_others_whose_input_is_hidden():
  flags.FLAGS(['cross_modal_vae', '--share=0.25'])
  count = 40
  ones = np.ones([count, 21])
  data = {'id': np.repeat([f'{k:02d}' for k in range(count // 2)], 2).astype('S'), 'visibility': ones,
          'joints_2d_weight': ones, 'joints_3d_weight': ones}
  few = cross_modal_vae.training_hands('few', data)
  assert len(few['id']) == 10 and len(np.unique(few['id'])) == 5, 'whole hands, with all their views'
  both = cross_modal_vae.training_hands('few and skeletons', data)
  seen = both['visibility'].any(1)
  assert seen.sum() == (~seen).sum() == 30 and set(both['id'][seen]) == set(few['id'])
  assert not set(both['id'][~seen]) & set(few['id']) and np.all(both['joints_3d_weight'] == 1)
  assert not np.any(both['joints_2d_weight'][~seen])


def test_tables_are_means_over_the_seeds():
  kinds = {kind: [0.5, 0.1, 0.2, 0.3, 0.4] for kind in ('true hands', 'decoded hands', 'random codes')}
  lines = {'straight lines between their joints': [0.5, 0.1, 0.2, 0.3, 0.4, 1.],
           'walks': [0.5, 0.1, 0.2, 0.3, 0.4, 2.]}
  coded = {'matched_px': 4., 'mismatched_px': 40., 'kl': [0.001, 1., 2.], **kinds, **lines}
  text = cross_modal_vae.tables({'direct': [{'mje_interp/root': 10.}, {'mje_interp/root': 12.}],
                                 'VAE': [{'mje_interp/root': 11., **coded}, {'mje_interp/root': 11., **coded}]})
  assert '| direct | 11.0 ± 1.4 |' in text and '| VAE | 4.0 ± 0.0 | 40.0 ± 0.0 |' in text
  assert '| VAE | 0.00 ± 0.00 | 1.00 ± 0.00 | 2.00 ± 0.00 | 3.00 ± 0.00 | 1.00 ± 0.00 |' in text
  excess = ' | '.join(f'0.{number}00 ± 0.000' for number in (1, 2, 3, 4))
  assert f'| VAE | walks | 50 ± 0 | {excess} | 2.00 ± 0.00 |' in text
