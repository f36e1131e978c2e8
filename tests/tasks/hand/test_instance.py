import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from dhpe_tf.data import augmentation, input_pipeline, tfrecords
from dhpe_tf.errors import UserError
from dhpe_tf.geometry import cameras, crops
from dhpe_tf.tasks.hand import results
from dhpe_tf.tasks.hand.instance import to_instance
from dhpe_tf.tasks.hand.record import SCHEMA
from tests.data import records
from tests.tasks.hand.hands import TASK

SIZE = 96
DOT = 8  # the joint at which the pictures of `records` have their white dot
SEED = tf.constant([3, 5], tf.int64)


def parsed(record):
  spec = SCHEMA.parse_spec(SCHEMA.to_text(), 'schema.pbtxt')
  return tf.io.parse_single_example(SCHEMA.encode(record), spec)


def instance(record, seed=None, size=SIZE):
  return tf.nest.map_structure(lambda x: x.numpy(), to_instance(parsed(record), size, seed))


def dot_in_crop(picture):
  """Where the light of a dark picture [S, S] lies, in crop space."""
  at = (np.arange(len(picture)) + 0.5) / len(picture) * 2 - 1
  return np.array([(picture.sum(0) * at).sum(), (picture.sum(1) * at).sum()]) / picture.sum()


@pytest.fixture
def same_colours(monkeypatch):
  monkeypatch.setattr(augmentation, 'random_appearance', lambda image, seed: image)


def without_frame(image):
  """The light of a picture without the grey that lies around the photograph."""
  return np.maximum(image.mean(-1) - 0.5, 0)


@pytest.mark.parametrize('side', ['right', 'left'])
@pytest.mark.parametrize('seed', [None, SEED, SEED + 1, SEED + 2])
def test_dot_drawn_at_a_joint_is_found_at_its_label(side, seed, same_colours):
  result = instance(records.record(4, side), seed)
  pixel = 2 / SIZE
  np.testing.assert_allclose(dot_in_crop(result['mask']), result['joints_2d'][DOT], atol=pixel / 2)
  np.testing.assert_allclose(dot_in_crop(without_frame(result['image'])), result['joints_2d'][DOT], atol=pixel / 2)


@pytest.mark.parametrize('seed', [None, SEED])
def test_a_left_hand_is_its_mirrored_right_hand(seed):
  right = instance(records.record(2), seed)
  left = instance(records.mirrored(records.record(2)), seed)
  assert left.pop('is_left') and not right.pop('is_left')
  for name, value in right.items():
    if name == 'id':
      assert value == left[name]
    else:
      np.testing.assert_allclose(left[name], value, atol=2e-3, err_msg=name)


def test_crop_space_agrees_with_the_camera():
  record = records.record(1)
  result = instance(record)
  crop = crops.Crop(tf.constant(result['crop_center_px']), tf.constant(result['crop_side_px']))
  expected = cameras.metric_to_crop(tf.constant(result['joints_3d_m']), tf.constant(result['root_depth_m']),
                                    tf.constant(result['intrinsics']), crop)
  exact = np.delete(np.arange(21), DOT)  # the dot lies at a pixel's centre
  np.testing.assert_allclose(result['joints_3d'][exact], expected.numpy()[exact], atol=1e-4)
  np.testing.assert_allclose(result['root_depth_m'], record['hand/joints_3d_m'][9, 2], rtol=1e-6)
  np.testing.assert_array_equal(result['joints_z_weight'], np.ones(21))
  box = record['hand/joints_2d_px'].max(0) - record['hand/joints_2d_px'].min(0)
  np.testing.assert_allclose(result['crop_side_px'], 1.5 * box.max(), rtol=1e-6)


def test_turning_the_crop_turns_all_joints_and_keeps_depths(same_colours):
  record = records.record(6)
  plain, turned = instance(record), instance(record, SEED)
  # The metric joints are turned about the optical axis, whatever scale and shift the crop has.
  first, second = plain['joints_3d_m'], turned['joints_3d_m']
  angle = np.arctan2(second[0, 1], second[0, 0]) - np.arctan2(first[0, 1], first[0, 0])
  assert abs(np.sin(angle)) > 0.1
  np.testing.assert_allclose(second, crops.turn(tf.constant(first), angle), atol=1e-6)
  # The crop's joints are turned by the same angle; only scale and shift come in besides.
  scale = plain['crop_side_px'] / turned['crop_side_px']
  around = crops.turn(tf.constant(plain['joints_2d'] - plain['joints_2d'].mean(0)), angle) * scale
  np.testing.assert_allclose(turned['joints_2d'] - turned['joints_2d'].mean(0), around, atol=1e-5)
  np.testing.assert_allclose(turned['joints_3d'][:, 2], plain['joints_3d'][:, 2] * scale, atol=1e-5)


def test_without_camera_depth_has_the_scale_of_the_picture():
  record = records.record(3, camera=False)
  px_per_metre, center = 400., np.array([60., 45.])
  record['hand/joints_2d_px'] = center + px_per_metre * record['hand/joints_3d_m'][:, :2]
  result = instance(record)
  depth_px = px_per_metre * record['hand/joints_3d_m'][:, 2]
  np.testing.assert_allclose(result['joints_3d'][:, 2], 2 * depth_px / result['crop_side_px'], atol=1e-5)
  assert result['root_depth_m'] == 0
  np.testing.assert_allclose(result['joints_z_weight'], np.full(21, 0.3), rtol=1e-6)


def test_labels_that_do_not_count():
  record = records.record(5, mask=False)
  valid = np.ones(21)
  valid[[9, 20]] = 0
  record['hand/joints_2d_px'][20] = 1e6  # garbage where there is no label
  result = instance({**record, 'hand/joints_2d_valid': valid, 'hand/joints_3d_valid': valid})
  np.testing.assert_array_equal(result['joints_2d_weight'], valid)
  np.testing.assert_array_equal(result['joints_z_weight'], np.zeros(21))  # no root, no depth relative to it
  assert result['crop_side_px'] < 200 and result['mask_weight'] == 0 and not result['mask'].any()
  for name, value in result.items():
    assert name == 'id' or np.isfinite(value).all(), name


def test_large_jpeg_is_decoded_at_part_of_its_size():
  random = np.random.default_rng(0)
  coarse = Image.fromarray(random.integers(0, 255, (12, 16, 3), np.uint8))
  photo = coarse.resize((1600, 1200), Image.BICUBIC)
  buffer = io.BytesIO()
  photo.save(buffer, 'JPEG', quality=95)
  record = records.record(0, mask=False)
  record['hand/joints_2d_px'] = random.uniform(300, 900, (21, 2))
  record.update({'image/encoded': buffer.getvalue(), 'image/height': 1200, 'image/width': 1600})
  result = instance(record, size=64)
  crop = crops.Crop(tf.constant(result['crop_center_px']), tf.constant(result['crop_side_px']))
  expected = crops.extract(tf.constant(np.asarray(photo)), crop, 64)
  assert result['crop_side_px'] / 64 > 8
  assert np.abs(result['image'] - expected).mean() < 0.01


def batches(root, count=2, **options):
  arguments = dict(batch_size=4, image_size=16, shuffle_buffer=6)
  dataset = input_pipeline.build_dataset(TASK, [(root, 'train', 1.)], **{**arguments, **options})
  return list(dataset.take(count).as_numpy_iterator())


def ids(found):
  return [name.decode() for batch in found for name in batch['id']]


def same(first, second):
  return all(np.array_equal(x[name], y[name]) for x, y in zip(first, second) for name in x)


def test_batches_are_a_function_of_seed_and_epoch(tmp_path):
  root = records.write(tmp_path / 'set')
  first = batches(root, seed=1, epoch=2)
  assert same(first, batches(root, seed=1, epoch=2))
  assert not same(first, batches(root, seed=1, epoch=3)) and not same(first, batches(root, seed=2, epoch=2))


def test_skipping_goes_on_where_a_run_stopped(tmp_path):
  root = records.write(tmp_path / 'set')
  assert same(batches(root, 5)[3:], batches(root, 2, skip_batches=3))


def test_each_pass_sees_every_record_once(tmp_path):
  root = records.write(tmp_path / 'set', 12)
  for epoch in range(3):
    assert sorted(ids(batches(root, 3, epoch=epoch))) == [f'{i:04d}.png' for i in range(12)]


def test_evaluation_sees_each_record_once_in_order(tmp_path):
  root = records.write(tmp_path / 'set', 7)
  other = records.write(tmp_path / 'other', 2)
  found = list(input_pipeline.build_dataset(TASK, [(root, 'train', 1.), (other, 'train', 1.)], 4, 16, training=False))
  assert [len(batch['id']) for batch in found] == [4, 4, 1]
  assert [name[:4] for name in ids([{'id': batch['id'].numpy()} for batch in found])] == [
      f'{i:04d}' for i in (0, 2, 4, 6, 1, 3, 5, 0, 1)]
  assert {name: tuple(value.shape[1:]) for name, value in found[0].items()} == {
      'image': (16, 16, 3), 'mask': (16, 16), 'mask_weight': (), 'joints_2d': (21, 2), 'joints_2d_weight': (21,),
      'joints_3d': (21, 3), 'joints_z_weight': (21,), 'joints_3d_m': (21, 3), 'joints_3d_weight': (21,), 'pose': (45,),
      'shape': (10,), 'parameters_weight': (), 'crop_center_px': (2,), 'crop_side_px': (), 'crop_turn': (),
      'intrinsics': (3, 3), 'root_depth_m': (), 'is_left': (), 'visibility': (21,), 'id': (),
          'training_distance': (4,)}


def test_sources_are_mixed_by_weight(tmp_path):
  right, left = records.write(tmp_path / 'right'), records.write(tmp_path / 'left', side='left')
  dataset = input_pipeline.build_dataset(TASK, [(right, 'train', 3.), (left, 'train', 1.)], 20, 8, augment=False)
  share = np.mean([batch['is_left'] for batch in dataset.take(20).as_numpy_iterator()])
  assert 0.18 < share < 0.32


def test_what_is_wrong_with_sources_is_named(tmp_path):
  root = records.write(tmp_path / 'set', 2)
  with pytest.raises(UserError, match='sources is empty'):
    input_pipeline.build_dataset(TASK, [])
  with pytest.raises(UserError, match='weight 0.0 of .* is not above zero'):
    input_pipeline.build_dataset(TASK, [(root, 'train', 0.)])
  with pytest.raises(UserError, match="no split 'eval'"):
    input_pipeline.build_dataset(TASK, [(root, 'eval', 1.)])
  with pytest.raises(UserError, match='no record set nowhere: ask Ben'):
    input_pipeline.build_dataset(TASK, [('nowhere', 'train', 1.)], how_to_make='ask Ben')


def test_random_start_takes_every_record_once(tmp_path):
  root = records.write(tmp_path / 'set', 11)
  everything = sorted(text.numpy() for text in tfrecords.read_serialized(root, 'train'))
  orders = [[text.numpy() for text in tfrecords.read_serialized(root, 'train', seed)] for seed in range(6)]
  assert all(sorted(order) == everything for order in orders)
  # Short epochs, each from its own start, see all in time.
  starts = [{text.numpy() for text in tfrecords.read_serialized(root, 'train', seed).take(3)} for seed in range(16)]
  assert set.union(*starts) == set(everything)


@pytest.mark.parametrize('side', ['left', 'right'])
def test_upright_crops_lead_back_to_the_picture(side):
  record = records.record(4, side)
  made = to_instance(parsed(record), SIZE, upright=True)
  crop = crops.Crop(made['crop_center_px'][None], made['crop_side_px'][None])
  center = crop.center_px
  if side == 'left':
    center = crops.mirror_points(center, float(record['image/width']))
  found = results.to_pixels(made['joints_2d'][None], crops.Crop(center, crop.side_px), made['is_left'][None],
                            made['crop_turn'][None])
  np.testing.assert_allclose(found[0], record['hand/joints_2d_px'], atol=1e-3)
  # The hand points up: the knuckles lie above the wrist.
  knuckles = tf.reduce_mean(tf.gather(made['joints_2d'], [5, 9, 9, 13]), axis=0)
  direction = (knuckles - made['joints_2d'][0]).numpy()
  assert direction[1] < 0 and abs(direction[0]) < 0.02


@pytest.mark.parametrize('change', [{'hand/joints_2d_px': np.linspace(0, 3e6, 42).reshape(21, 2)},
                                    {'hand/joints_2d_valid': np.zeros(21), 'hand/box_px': [0, 0, 3e6, 9]}])
def test_labels_that_span_far_more_than_the_picture_are_refused_with_their_record(change):
  record = {**records.record(4), **change}
  with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s)20 times the picture.*{record['image/id']}"):
    instance(record)
