import gin
import numpy as np
import pytest
from absl import flags

from dhpe_tf.methods.contrastive import model as methods
from tests.benchmarks import contrastive
from tests.tasks.hand.hands import TASK


def hands(count, place, crops=2):
  names = np.repeat([f'{place}{number:03d}' for number in range(count)], crops).astype('S')
  return {'id': names, 'value': np.arange(len(names))}


def test_shares_are_whole_pictures_and_the_smaller_lie_in_the_larger():
  data = hands(200, 'a')
  chosen = [set(contrastive.chosen_rows(data, share, seed=1)) for share in (0.01, 0.1, 1.)]
  assert [len(rows) for rows in chosen] == [4, 40, 400] and chosen[0] < chosen[1] < chosen[2]
  assert len({data['id'][row] for row in chosen[1]}) == 20
  assert chosen[1] != set(contrastive.chosen_rows(data, 0.1, seed=2))


def test_batches_are_drawn_from_both_places_alike():
  flags.FLAGS(['contrastive', '--batch=8'])
  both, rows = contrastive.few({'bench': hands(100, 'a'), 'photographs': hands(10, 'b')}, 0.1, seed=0)
  assert len(both['id']) == 20 + 4, 'a place has two pictures at least'
  drawn = both['id'][rows(np.random.default_rng(0), 0)]
  assert [name[:1] for name in drawn] == [b'a'] * 4 + [b'b'] * 4


def test_the_probe_finds_a_linear_map_and_does_not_trust_noise():
  random = np.random.default_rng(0)
  features, matrix = random.normal(size=[300, 20]), random.normal(size=[20, 3])
  answer = contrastive.ridge(features, features @ matrix + 1)
  np.testing.assert_allclose(answer(features[:5]), features[:5] @ matrix + 1, atol=1e-3)
  few, noise = random.normal(size=[30, 400]), random.normal(size=[30, 3])
  others = contrastive.ridge(few, noise)(random.normal(size=[100, 400]))
  assert np.abs(others - noise.mean(0)).mean() < 0.6 * noise.std()


def test_codes_that_turn_are_told_from_codes_that_do_not(monkeypatch):
  gin.parse_config(["backbone.architecture = 'plain5'", "feature_head.pooling = 'grid'", 'feature_head.size = 64'])
  made = methods.build_model(TASK, image_size=64, hidden=8, points=4)
  gin.clear_config()
  monkeypatch.setattr(contrastive, '_ANGLES', (0, 90))
  pictures = np.random.default_rng(0).integers(0, 255, [6, 64, 64, 3]).astype(np.uint8)
  found = contrastive.equivariance(made, pictures)
  assert found[contrastive._TURNED_BACK][0] == pytest.approx(0, abs=1e-4) and found['different pictures'] > 0.01
  # A projection that looks at no picture does not turn with it.
  bias = made.projector.get_layer('dense')
  bias.set_weights([np.zeros_like(bias.get_weights()[0]), np.random.default_rng(1).normal(size=8)])
  found = contrastive.equivariance(made, pictures)
  np.testing.assert_allclose(found[contrastive._AS_THEY_ARE], 0, atol=1e-4)
  assert found[contrastive._TURNED_BACK][1] > 0.5


def test_tables_have_all_arms_and_shares():
  measures = {'mje_interp': 30., 'mje_extrap_all': 40., 'px': 10.}
  turned = {kind: [0.] * 13 for kind in (contrastive._TURNED_BACK, contrastive._AS_THEY_ARE)}
  turned['different pictures'] = 1.
  seeds = [{'probe': {'0.01': measures, 'mean': measures}, 'tuned': {'0.01': {**measures, 'mje_interp': value}}}
           for value in (20., 22.)]
  pretrained = [{**seed, 'turned': {'PeCLR': turned, 'random start': turned, 'found': 0.5}} for seed in seeds]
  text = contrastive.tables({'random start': seeds, 'PeCLR': pretrained})
  assert '| PeCLR | 21.0 ± 1.4 |' in text and '| tuned: interp, mm | 1% of the labels |' in text
  assert text.count('| random start |') == 6 + 2, 'three figures of probe and tuning, and both kinds of codes'
  assert '1.00 ± 0.00 apart' in text and '50.0 ± 0.0%' in text
