"""Every trap of the public datasets, planted in a reader or in its files, is found by a check; without it none is."""
import io
import json
import tracemalloc
import types

import numpy as np
import pytest
from absl import flags
from PIL import Image

from data_tools import counts
from data_tools.readers import base, dexter_object, freihand, ho3d, interhand, rhd, stb
from dhpe_tf.data import image_files
from dhpe_tf.hand import hand_model, skeletons
from dhpe_tf.tasks.hand import task_flags
from dhpe_tf.tasks.hand.checks import all_checks, placement
from dhpe_tf.tasks.hand.record import SCHEMA
from tests.data import records as made
from tests.data_tools.readers import (
  dexter_object_files,
  freihand_files,
  ho3d_files,
  interhand_files,
  rhd_files,
  stb_files,
)
from tests.hand.mano_files import write_pickle
from tests.hand.model_fixture import random_model

_COUNT = 10
_MISPLACED = ('would fit the picture better', 'nothing in the pictures tells')


@pytest.fixture(scope='module', name='roots')
def _roots(tmp_path_factory):
  roots = {name: tmp_path_factory.mktemp(name) for name in ('rhd', 'stb', 'dexter', 'freihand', 'interhand', 'ho3d')}
  rhd_files.write(roots['rhd'], (('training', _COUNT),))
  stb_files.write(roots['stb'], frames=2)
  dexter_object_files.write(roots['dexter'], frames=3)
  freihand_files.write(roots['freihand'], samples=4, evaluation=1)
  interhand_files.write(roots['interhand'], ['train'])
  ho3d_files.write(roots['ho3d'], frames=5)
  return roots


def _batch(examples):
  """Examples as the checks get them."""
  batch = {}
  for name, field in SCHEMA.fields.items():
    values = [example.get(name, field.default) for example in examples]
    if field.kind == 'bytes':
      values = [b'jpeg' if value is None else value.encode() if isinstance(value, str) else value for value in values]
      batch[name] = np.array(values, object)
    else:
      batch[name] = np.stack([np.broadcast_to(value, field.shape) for value in values]).astype(
          np.int64 if field.kind == 'int' else np.float32)
  return batch


def _options():
  """The flags that the hand task adds to validate, with their defaults."""
  values = flags.FlagValues()
  task_flags.define('validate', values)
  values(['validate'])
  return values


def _findings(reader, split='train', change=None, options=None, source=None):
  """Findings by check of what a reader reads."""
  examples = list(base.examples(reader, split, base.Skipped(fatal=True)))
  for example in examples:
    example['image/format'] = 'png'
    if change:
      change(example)
  about = {'source': source or reader.source, 'options': {**reader.options, **(options or {})}}
  batch = _batch([{name: value for name, value in example.items() if name in SCHEMA.fields}
                  for example in examples])
  checks = all_checks.make(about, _options())
  found = {}
  for check in checks:
    check.add(batch)
    found[check.title] = check.findings()
  found['counts'] = counts.findings(split, len(examples), about)
  return {title: lines for title, lines in found.items() if lines}


def _assert_found(found, *texts):
  lines = [line for lines in found.values() for line in lines]
  assert any(text in line for text in texts for line in lines), found


def _millimetres(example):
  example['hand/joints_3d_m'] = example['hand/joints_3d_m'] * 1000


def _other_side(example):
  example['hand/side'] = {'left': 'right', 'right': 'left'}[example['hand/side']]


def test_clean_datasets_have_no_finding(roots):
  assert _findings(rhd.RhdReader(roots['rhd'])) == {}
  assert _findings(rhd.RhdReader(roots['rhd'], first_keypoint='wrist')) == {}
  assert _findings(rhd.RhdReader(roots['rhd'], hand='both', first_keypoint='wrist')) == {}
  for pictures in stb.PICTURES:
    assert _findings(stb.StbReader(roots['stb'], [pictures])) == {}
  assert _findings(dexter_object.DexterObjectReader(roots['dexter']), 'eval') == {}
  assert _findings(freihand.FreihandReader(roots['freihand'])) == {}
  assert _findings(interhand.InterhandReader(roots['interhand'])) == {}
  assert _findings(ho3d.Ho3dReader(roots['ho3d'])) == {}
  assert _findings(ho3d.Ho3dReader(roots['ho3d']), 'eval') == {}


# RHD.


def test_rhd_tips_first(roots, monkeypatch):
  monkeypatch.setattr(skeletons, 'permutation', lambda *_: np.arange(21))
  _assert_found(_findings(rhd.RhdReader(roots['rhd'], first_keypoint='wrist')), 'in another order')


def test_rhd_right_hand_first(roots, monkeypatch):
  monkeypatch.setattr(rhd, '_SIDES', ('right', 'left'))
  _assert_found(_findings(rhd.RhdReader(roots['rhd'])), 'those of the other hand')


def test_rhd_body_in_the_mask(roots, monkeypatch):
  monkeypatch.setattr(rhd, '_MASK_IDS', {'left': (1, 17), 'right': (1, 33)})
  reader = rhd.RhdReader(roots['rhd'])
  monkeypatch.setattr(reader, '_choose', lambda *_: ['left'])
  _assert_found(_findings(reader), 'most of the mask lies far from the joints')


def test_rhd_mask_of_the_other_hand(roots, monkeypatch):
  monkeypatch.setattr(rhd, '_MASK_IDS', {'right': (2, 17), 'left': (18, 33)})
  reader = rhd.RhdReader(roots['rhd'], first_keypoint='wrist')
  monkeypatch.setattr(reader, '_choose', lambda *_: ['right'])
  _assert_found(_findings(reader), 'do not lie on the mask')


def test_rhd_one_camera_for_all(roots):
  first = rhd_files.intrinsics(0)

  def change(example):
    example['camera/intrinsics'] = first

  _assert_found(_findings(rhd.RhdReader(roots['rhd']), change=change), 'px from the projected 3D labels')


def test_rhd_palm_with_the_knuckle_of_another_order(roots, monkeypatch):
  """12 is the knuckle in RHD's order; in ours it is the tip."""
  def palm(joints):
    joints = np.array(joints, np.float64)
    joints[0] = (joints[0] + joints[12]) / 2
    return joints

  monkeypatch.setattr(base, 'palm_from_wrist', palm)
  _assert_found(_findings(rhd.RhdReader(roots['rhd'])), 'keypoint 0 is the palm')


def test_rhd_wrist_taken_for_the_palm(roots):
  reader = rhd.RhdReader(roots['rhd'], first_keypoint='wrist')
  _assert_found(_findings(reader, options={'first_keypoint': 'palm'}), 'keypoint 0 is the palm: is it?')


def test_swapped_pixel_axes(roots):
  def change(example):
    example['hand/joints_2d_px'] = example['hand/joints_2d_px'][:, ::-1]

  found = _findings(rhd.RhdReader(roots['rhd']), change=change)
  _assert_found(found, 'px from the projected 3D labels')
  _assert_found(found, 'do not lie on the mask')


# STB.


def test_stb_millimetres(roots):
  _assert_found(_findings(stb.StbReader(roots['stb']), change=_millimetres), 'millimetres')


def test_stb_labels_of_the_left_camera_on_the_right_picture(roots, monkeypatch):
  monkeypatch.setattr(stb, '_BASELINE_MM', 0.)
  _assert_found(_findings(stb.StbReader(roots['stb'], ['bb_right'])), *_MISPLACED)


def test_stb_labels_of_the_depth_camera_on_the_colour_picture(roots, monkeypatch):
  monkeypatch.setattr(stb, 'to_camera', lambda joints_mm, _: joints_mm)
  _assert_found(_findings(stb.StbReader(roots['stb'], ['sk_color'])), *_MISPLACED)


def test_stb_right_hands(roots):
  found = _findings(stb.StbReader(roots['stb']), change=_other_side)
  _assert_found(found, 'those of the other hand')
  _assert_found(found, 'all of stb are left hands')


def test_stb_thumb_first(roots, monkeypatch):
  monkeypatch.setitem(skeletons.ORDERS, 'stb', ('palm', *skeletons.KEYPOINT_NAMES[1:]))
  found = _findings(stb.StbReader(roots['stb']))
  _assert_found(found, 'those of the other hand')
  _assert_found(found, 'proportions')


def test_stb_palm_taken_for_the_wrist(roots):
  _assert_found(_findings(stb.StbReader(roots['stb']), options={'first_keypoint': 'wrist'}),
                'keypoint 0 is the wrist: is it?')


# Dexter+Object.


def test_dexter_object_marker_of_missing_tips(roots, monkeypatch):
  monkeypatch.setattr(dexter_object, '_MISSING_Z', -1)
  found = _findings(dexter_object.DexterObjectReader(roots['dexter']), 'eval')
  _assert_found(found, 'marker of missing joints')


def test_dexter_object_axes_turned_round(roots, monkeypatch):
  to_color_camera = dexter_object.to_color_camera
  monkeypatch.setattr(dexter_object, 'to_color_camera', lambda tips_mm: to_color_camera(tips_mm * [-1, -1, 1]))
  _assert_found(_findings(dexter_object.DexterObjectReader(roots['dexter']), 'eval'), 'nothing in the pictures tells')


def test_dexter_object_depth_camera(roots, monkeypatch):
  monkeypatch.setattr(dexter_object, '_DEPTH_TO_COLOR', np.eye(4)[:3])
  _assert_found(_findings(dexter_object.DexterObjectReader(roots['dexter']), 'eval'), 'nothing in the pictures tells')


def test_dexter_object_right_hands(roots):
  _assert_found(_findings(dexter_object.DexterObjectReader(roots['dexter']), 'eval', _other_side),
                'all of dexter_object are left hands')


# FreiHAND.


def test_freihand_masks_of_other_samples(tmp_path):
  """Masks exist for the first version only: those of the others have the sample's number, not the picture's."""
  truth = freihand_files.write(tmp_path, samples=4, evaluation=1)
  masks = tmp_path / 'FreiHAND_pub_v2' / 'training' / 'mask'
  content = [path.read_bytes() for path in sorted(masks.iterdir())]
  for i, path in enumerate(sorted(masks.iterdir())):
    path.write_bytes(content[(i + 1) % 4])
  assert len(truth) == 5

  def elsewhere(example):
    # Hands of real samples do not all lie in the middle.
    number = int(example['image/id'][-1]) % 4
    example['hand/joints_2d_px'] = example['hand/joints_2d_px'] + [70. * (number % 2) - 35., 70. * (number // 2) - 35.]
    mask = np.array(Image.open(io.BytesIO(example['mask/encoded'])))
    of = (number + 1) % 4
    example['mask/encoded'] = base.encode_png(np.roll(mask, (70 * (of // 2) - 35, 70 * (of % 2) - 35), (0, 1)))

  _assert_found(_findings(freihand.FreihandReader(tmp_path), change=elsewhere), 'do not lie on the mask')


def test_freihand_mask_without_threshold(roots):
  def grey(example):
    mask = np.zeros([224, 224], np.uint8)
    mask[50:150, 50:150] = 253
    example['mask/encoded'] = base.encode_png(mask)

  _assert_found(_findings(freihand.FreihandReader(roots['freihand']), change=grey), 'other values than 0 and 255')


def test_freihand_pose_about_the_mean(roots):
  """Poses from the mean of MANO taken for poses from the flat hand, shown on the built-in hand."""
  _assert_pose_found(freihand.FreihandReader(roots['freihand']), -1)


@pytest.mark.parametrize('dataset', ['freihand', 'ho3d'])
def test_the_hand_model_gets_the_tips_of_the_dataset(roots, tmp_path, monkeypatch, dataset):
  options = {'freihand': freihand.FreihandReader, 'ho3d': ho3d.Ho3dReader}[dataset](roots[dataset]).options
  path = write_pickle(tmp_path / 'MANO_RIGHT.pkl', random_model())
  models = []
  monkeypatch.setattr(all_checks.anatomy, 'Parameters', models.append)
  parsed = types.SimpleNamespace(hand_model=str(path), tolerance_px=1., placement_records=0)
  all_checks.make({'options': {**options, 'parameters': 'MANO'}}, parsed)
  tips = {'freihand': [744, 320, 443, 555, 672], 'ho3d': [744, 333, 444, 555, 672]}[dataset]
  np.testing.assert_allclose(models[0].rest_keypoints[[4, 8, 12, 16, 20]], models[0].v_template[tips], atol=1e-12)


def test_ho3d_pose_moved_by_the_mean_again(roots):
  """HO-3D's poses are about the flat hand already, unlike FreiHAND's."""
  _assert_pose_found(ho3d.Ho3dReader(roots['ho3d']), 1)


def _assert_pose_found(reader, sign):
  """Of hands at rest the pose about the flat hand is zero."""
  mean = hand_model.load_hand_model().hands_mean * 3

  def parameters(example, pose):
    example.update({'hand/pose': pose, 'hand/shape': np.zeros(10), 'hand/has_parameters': 1.})

  assert _findings(reader, change=lambda example: parameters(example, np.zeros(45))) == {}
  _assert_found(_findings(reader, change=lambda example: parameters(example, sign * mean)), 'pose about the mean')


def test_freihand_first_version_only(roots):
  about = {'source': 'freihand', 'published_counts': {'train': 130240}, 'counts': {'train': 32560}}
  assert '130240 are published' in counts.findings('train', 32560, about)[0]
  assert counts.findings('train', 130240, {**about, 'counts': {}}) == []


# InterHand2.6M.


def test_interhand_world_coordinates(roots):
  reader = interhand.InterhandReader(roots['interhand'])
  lookup = reader._lookup

  def world(*arguments):
    world_mm, camera = lookup(*arguments)
    return world_mm, {**camera, 'campos': np.zeros(3), 'camrot': np.eye(3)}

  reader._lookup = world
  assert _findings(reader)


def test_interhand_left_hand_first(roots, monkeypatch):
  monkeypatch.setattr(interhand, '_SIDES', ('left', 'right'))
  _assert_found(_findings(interhand.InterhandReader(roots['interhand'])), 'those of the other hand')


def test_interhand_wrist_first(roots, monkeypatch):
  monkeypatch.setitem(skeletons.ORDERS, 'interhand', skeletons.ORDERS['rhd'])
  _assert_found(_findings(interhand.InterhandReader(roots['interhand'])), 'proportions')


def test_interhand_joints_that_are_not_valid(tmp_path):
  interhand_files.write(tmp_path, ['train'])
  path = tmp_path / 'annotations' / 'train' / 'InterHand2.6M_train_data.json'
  content = json.loads(path.read_text())
  for annotation in content['annotations']:
    annotation['joint_valid'] = [[1]] * 42
  path.write_text(json.dumps(content))
  _assert_found(_findings(interhand.InterhandReader(tmp_path)), 'outside of the picture')


def test_interhand_millimetres(roots):
  _assert_found(_findings(interhand.InterhandReader(roots['interhand']), change=_millimetres), 'millimetres')


# HO-3D.


def test_ho3d_axes_of_opengl(roots, monkeypatch):
  monkeypatch.setattr(ho3d, '_OPENGL_TO_CAMERA', np.ones(3))
  _assert_found(_findings(ho3d.Ho3dReader(roots['ho3d'])), 'behind the camera')


def test_ho3d_one_axis_of_opengl(roots, monkeypatch):
  """Turning z alone makes left hands of right ones."""
  monkeypatch.setattr(ho3d, '_OPENGL_TO_CAMERA', np.array([1., 1., -1.]))
  _assert_found(_findings(ho3d.Ho3dReader(roots['ho3d'])), 'those of the other hand')


def test_ho3d_order(roots, monkeypatch):
  monkeypatch.setitem(skeletons.ORDERS, 'ho3d', skeletons.KEYPOINT_NAMES)
  _assert_found(_findings(ho3d.Ho3dReader(roots['ho3d'])), 'proportions')


# Any.


@pytest.mark.parametrize('change, text', [
    (lambda example: example.update({'image/height': 7}), 'another size than the record says'),
    (lambda example: example.update({'image/encoded': b'no picture'}), 'does not open'),
    (lambda example: example.update({'image/id': 'same', 'hand/joints_2d_px': np.full([21, 2], 9.)}),
     'twice'),
    (lambda example: example.update({'mask/encoded': b'no mask'}), 'the mask does not open'),
    (lambda example: example.update({'camera/intrinsics': np.zeros([3, 3])}), 'must be the origin'),
    (lambda example: example.update({'hand/joints_2d_px': example['hand/joints_2d_px'] * 4}), 'outside of the picture'),
])
def test_bad_records(roots, change, text):
  _assert_found(_findings(rhd.RhdReader(roots['rhd'], first_keypoint='wrist'), change=change), text)


def test_order_of_two_dimensional_labels(roots):
  """Without 3D labels the proportions in the picture tell."""
  def flat(example, tips_first):
    example['hand/joints_3d_valid'] = np.zeros(21)
    if tips_first:
      example['hand/joints_2d_px'] = example['hand/joints_2d_px'][skeletons.permutation('rhd', 'dhpe')]

  reader = freihand.FreihandReader(roots['freihand'])
  assert _findings(reader, change=lambda example: flat(example, False)) == {}
  _assert_found(_findings(reader, change=lambda example: flat(example, True)), 'proportions in the picture')


def test_shared_groups():
  assert counts.shared_groups({'train': {b'anna', b''}, 'eval': {b'ben', b''}}) == []
  found = counts.shared_groups({'train': {b'anna', b'ben'}, 'eval': {b'ben'}, 'val': {b'carl'}})
  assert found == ['splits eval and train share 1 groups, such as ben']


def test_a_large_picture_is_not_held_as_numbers_of_eight_bytes():
  picture = np.zeros([3000, 3000, 3], np.uint8)
  record = {**made.record(), 'image/encoded': image_files.encode(picture, 'PNG', compress_level=1)}
  batch = {name: np.array([value], object if isinstance(value, bytes) else None) for name, value in record.items()}
  tracemalloc.start()
  placement.Placement().add(batch)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert picture.nbytes < peak < 4 * picture.nbytes
