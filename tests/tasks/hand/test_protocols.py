import numpy as np
import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.tasks.hand import protocols


def _truth(count=5, seed=0):
  rng = np.random.default_rng(seed)
  return {
      'joints_3d_m': rng.normal(size=[count, 21, 3]) * .04 + [0, 0, .5],
      'joints_3d_valid': np.ones([count, 21]),
      'vertices_m': rng.normal(size=[count, 60, 3]) * .04 + [0, 0, .5],
      'joints_2d_px': rng.uniform(0, 200, [count, 21, 2]),
      'crop_side_px': np.full([count], 128.),
      'mask': rng.uniform(size=[count, 9, 12]) > .6,
  }


def _moved(truth, offset_m=(0, 0, .02), **changes):
  """Predictions that are the truth moved by an offset."""
  names = ('joints_3d_m', 'vertices_m', 'joints_2d_px', 'mask')
  prediction = {name: truth[name] for name in names}
  prediction.update({name: prediction[name] + np.array(offset_m) for name in names[:2]}, **changes)
  return prediction


@pytest.mark.parametrize('name', protocols.PROTOCOLS)
def test_perfect(name):
  truth = _truth()
  measures = protocols.evaluate(name, _moved(truth, (0, 0, 0)), truth)
  assert any(key.startswith('epe_mean/') for key in measures)
  for key, measure in measures.items():
    assert measure.definition and measure.unit in ('mm', 'px', '')
    if key.startswith('images/'):
      assert measure.value == len(truth['joints_3d_m']), key
    elif measure.unit:
      assert measure.value < 1e-9, key
    else:
      assert measure.value == 1., key


@pytest.mark.parametrize('name', protocols.PROTOCOLS)
def test_every_alignment_but_none_forgives_a_shift(name):
  truth = _truth()
  for key, measure in protocols.evaluate(name, _moved(truth), truth).items():
    if key.startswith('epe_mean/'):
      np.testing.assert_allclose(measure.value, 20. if key.endswith('/none') else 0., atol=1e-9)


def test_crop_by_hand():
  """One fingertip of one of five hands is 21 mm off."""
  truth = _truth()
  joints = truth['joints_3d_m'].copy()
  joints[2, 8, 0] += .021
  measures = protocols.evaluate('crop', {'joints_3d_m': joints}, truth)
  np.testing.assert_allclose(measures['epe_mean/root'].value, 21 / 5 / 21)
  np.testing.assert_allclose(measures['epe_median/root'].value, 0., atol=1e-12)
  # Wrong at the threshold of 20 mm only; the trapezoid rule weighs the end of 31 thresholds by half.
  np.testing.assert_allclose(measures['auc_std/root'].value, 1 - 1 / 5 / 21 * .5 / 30, rtol=1e-9)


def test_definitions_name_what_papers_leave_out():
  truth = _truth()
  text = protocols.evaluate('zb-rhd', _moved(truth), truth)['auc_zb/root_bone'].definition
  for word in ('21.05 to 50.00 mm', '12 thresholds', 'palm', 'middle1-middle2', '21 keypoints',
               'true depth of the middle MCP'):
    assert word in text
  text = protocols.evaluate('paper-do', _moved(truth), truth)['auc_std/centroid'].definition
  assert 'thumb4, index4, middle4, ring4, little4' in text


def test_zb_takes_palm_and_bone_of_the_tip_to_palm_order():
  """In the order of RHD the bone is 12-11: the middle finger's MCP and PIP joints."""
  truth, scaled = _truth(), _truth()
  palm = (truth['joints_3d_m'][:, :1] + truth['joints_3d_m'][:, 9:10]) / 2
  scaled['joints_3d_m'] = (truth['joints_3d_m'] - palm) * 3 + palm + 1
  np.testing.assert_allclose(protocols.evaluate('zb-rhd', scaled, truth)['epe_mean/root_bone'].value, 0, atol=1e-9)
  bent = truth['joints_3d_m'].copy()
  bent[:, 10] = bent[:, 9] + 2 * (bent[:, 10] - bent[:, 9])
  errors, _ = protocols.errors_3d_m('zb-rhd', 'root_bone', {'joints_3d_m': bent}, truth)
  np.testing.assert_allclose(errors[:, 0], 0, atol=1e-12)
  np.testing.assert_allclose(errors[:, 4], np.linalg.norm(truth['joints_3d_m'][:, 4] - palm[:, 0], axis=-1) / 2)


def test_palm_and_wrist_convert():
  truth = _truth()
  as_palm = dict(truth, joints_3d_m=protocols.convert_first(truth['joints_3d_m'], 'wrist', 'palm'))
  wrist, palm = (protocols.evaluate('zb-stb', _moved(truth), t, truth_first=first)['epe_mean/root_bone'].value
                 for t, first in ((truth, 'wrist'), (as_palm, 'palm')))
  np.testing.assert_allclose(wrist, palm, atol=1e-9)
  mixed = protocols.evaluate('zb-stb', _moved(truth), as_palm, truth_first='wrist')['epe_mean/root_bone'].value
  assert mixed > 1
  back = protocols.convert_first(as_palm['joints_3d_m'], 'palm', 'wrist')
  np.testing.assert_allclose(back, truth['joints_3d_m'], atol=1e-12)
  with pytest.raises(UserError, match='wrist or the palm'):
    protocols.evaluate('crop', _moved(truth), truth, truth_first='thumb')


@pytest.mark.parametrize('name', ['zb-stb', 'zb-rhd-visible'])
def test_hidden_keypoints_do_not_count(name):
  truth = _truth()
  joints = truth['joints_3d_m'].copy()
  joints[:, 8] += .1
  hidden = np.ones([5, 21])
  hidden[:, 8] = 0
  assert protocols.evaluate(name, {'joints_3d_m': joints}, truth)['epe_mean/root_bone'].value > 1
  truth['visibility'] = hidden
  measure = protocols.evaluate(name, {'joints_3d_m': joints}, truth)['epe_mean/root_bone']
  assert measure.value < 1e-9 and 'visible ones only' in measure.definition
  assert protocols.evaluate('zb-rhd', {'joints_3d_m': joints}, truth)['epe_mean/root_bone'].value > 1


def test_dexter_object_counts_valid_tips_only():
  """Only fingertips are labelled; one is marked missing; a frame with a single tip does not count."""
  truth = _truth(3)
  valid = np.zeros([3, 21])
  valid[:, list(protocols.skeletons.TIPS)] = 1
  valid[0, 4] = 0
  valid[2] = 0
  valid[2, 4] = 1
  joints = np.where(valid[..., None] > 0, truth['joints_3d_m'], np.nan)
  labels = {'joints_3d_m': joints, 'joints_3d_valid': valid}
  prediction = {'joints_3d_m': truth['joints_3d_m'] * 2}
  measures = protocols.evaluate('paper-do', prediction, labels)
  np.testing.assert_allclose(measures['epe_mean/centroid_scale'].value, 0, atol=1e-9)
  assert measures['epe_mean/centroid'].value > 1
  _, counted = protocols.errors_3d_m('paper-do', 'centroid', prediction, labels)
  np.testing.assert_array_equal(counted, [[0, 1, 1, 1, 1], [1] * 5, [0] * 5])


def test_sample_without_root_label_does_not_count():
  truth = _truth(2)
  truth['joints_3d_valid'][0, 9] = 0
  for alignment, counts in (('root', [0, 21]), ('procrustes', [20, 21])):
    _, valid = protocols.errors_3d_m('crop', alignment, _moved(truth), truth)
    np.testing.assert_array_equal(valid.sum(1), counts)


def test_garbage_labels_do_not_count():
  truth = _truth()
  truth['joints_3d_valid'][1, 3] = 0
  spoilt = dict(truth, joints_3d_m=np.where(truth['joints_3d_valid'][..., None] > 0, truth['joints_3d_m'], 1e6))
  for key, measure in protocols.evaluate('crop', _moved(truth), spoilt).items():
    if key.startswith('epe_mean/'):
      assert measure.value < 1e-9


def test_2d_and_masks():
  truth = _truth(1)
  prediction = _moved(truth, joints_2d_px=truth['joints_2d_px'] + [3., 4.], mask=np.zeros([1, 9, 12]))
  measures = protocols.evaluate('crop', prediction, truth)
  np.testing.assert_allclose([measures['epe_2d_mean_px'].value, measures['epe_2d_mean_px256'].value], [5., 10.])
  assert measures['hand_iou_mean'].value == 0.
  np.testing.assert_allclose(measures['pixel_accuracy'].value, 1 - truth['mask'].mean())
  truth['mask_valid'] = np.zeros([1])
  assert 'hand_iou_mean' not in protocols.evaluate('crop', prediction, truth)


def test_curves():
  truth = _truth()
  curves = protocols.curves('freihand', _moved(truth), truth, np.array([.01, .03]))
  np.testing.assert_array_equal(curves['none'], [0., 1.])
  np.testing.assert_array_equal(curves['procrustes'], [1., 1.])


@pytest.mark.parametrize('name', ['freihand', 'ho3d'])
def test_mesh_area_is_that_of_the_challenges(name):
  """As their EvalUtil computes it, vertex by vertex, with the trapezoid rule over that of ones."""
  truth = _truth()
  offset = np.random.default_rng(1).normal(size=truth['vertices_m'].shape) * .015
  measures = protocols.evaluate(name, _moved(truth, (0, 0, 0), vertices_m=truth['vertices_m'] + offset), truth)
  thresholds = np.linspace(0., .05, 100)
  curve = np.mean([[(errors <= t).mean() for t in thresholds] for errors in np.linalg.norm(offset, axis=-1).T], axis=0)
  steps = np.diff(thresholds)
  area = (steps * (curve[1:] + curve[:-1]) / 2).sum() / steps.sum()
  assert .3 < area < .8
  np.testing.assert_allclose(measures['vertex_auc_full/none'].value, area, rtol=1e-12)
  assert measures['vertex_auc_full/procrustes_mirror'].value > area


def test_errors():
  truth = _truth()
  with pytest.raises(UserError, match='unknown protocol .* crop, zb-rhd'):
    protocols.evaluate('zb', _moved(truth), truth)
  with pytest.raises(UserError, match='one row for each sample'):
    protocols.evaluate('crop', {'joints_3d_m': truth['joints_3d_m'][:2]}, truth)
  with pytest.raises(UserError, match='no sample has the 3D labels'):
    protocols.evaluate('crop', _moved(truth), dict(truth, joints_3d_valid=np.zeros([5, 21])))
