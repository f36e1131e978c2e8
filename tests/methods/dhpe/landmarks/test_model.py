import gin
import numpy as np
import pytest
import tensorflow as tf

from dhpe_tf.errors import UserError
from dhpe_tf.finding import finder
from dhpe_tf.inference import predictor
from dhpe_tf.methods import method
from dhpe_tf.methods.dhpe.landmarks import batches, model, objective
from dhpe_tf.serving import exporter, model_card
from dhpe_tf.tasks.hand import request as requests
from dhpe_tf.tasks.hand.task import HandTask
from tests.finding.hands import rendered
from tests.methods.dhpe.landmarks import hands
from tests.serving import signature_checks


@pytest.fixture(scope='module')
def built():
  # Not every random start leaves the refinement room: with seed 0 one of the two hands is near its goal at once, under
  # TensorFlow 2.15 and 2.21 alike.
  tf.keras.utils.set_random_seed(3)
  made = model.landmark_model(HandTask())
  made.compile(tf.keras.optimizers.Adam(1e-3))
  return made


@pytest.fixture(scope='module')
def cached(tmp_path_factory):
  return hands.write_cached(str(tmp_path_factory.mktemp('evidence')), 96)


def dataset(folder, training=True, **changes):
  return batches.evidence_dataset(HandTask(), [(folder, 'train', 1.)], batch_size=32, training=training, **changes)


def test_fits_the_contracts_of_the_task(built):
  method.check(built)
  image = tf.random.stateless_uniform([1, 224, 224, 3], [0, 0])
  found = built.answer({'image': image})
  assert set(found) == set(built.output_specs)
  for name, spec in built.output_specs.items():
    assert spec.is_compatible_with(found[name]), name


@pytest.mark.slow
def test_learns_from_evidence(built, cached):
  batch = next(iter(dataset(cached, random_share=0.5, error_file=cached)))
  first = {name: float(value) for name, value in built.test_step(batch).items()}
  built.reset_metrics()
  step = tf.function(built.train_step)
  for _ in range(80):
    step(batch)
  built.reset_metrics()
  last = {name: float(value) for name, value in built.test_step(batch).items()}
  assert last['error_3d_mm'] < 0.75 * first['error_3d_mm'] and last['error_2d_px'] < 0.75 * first['error_2d_px']
  # The network that sees pictures is frozen.
  assert not built.landmark_net.trainable_variables


@pytest.mark.slow
def test_the_landmark_network_learns_from_pictures_where_it_may(cached):
  """Trunk and heads each learn if gin says so, and without it stay as published."""
  batch = {name: value[:2] for name, value in next(iter(dataset(cached))).items() if name != 'landmark_evidence'}
  batch['image'] = tf.random.stateless_uniform([2, 224, 224, 3], [1, 2])
  for trunk, heads in ((True, False), (False, True)):
    gin.bind_parameter('landmark_net.trainable', trunk)
    gin.bind_parameter('landmark_net.trainable_heads', heads)
    made = model.landmark_model(HandTask(), mirrored=False)
    made.compile(tf.keras.optimizers.Adam(1e-3))
    before = {name: made.landmark_net.get_layer(name).get_weights()[0] for name in ('stem', 'world')}
    # The layer between evidence and hand starts at zero, so that the first step does not reach beyond it.
    for _ in range(2):
      made.train_step(batch)
    changed = {name: not np.array_equal(made.landmark_net.get_layer(name).get_weights()[0], weights)
               for name, weights in before.items()}
    assert changed == {'stem': trunk, 'world': heads}


def test_limits_of_bones_are_a_term_where_they_have_a_weight(built, cached):
  batch = next(iter(dataset(cached)))
  outputs, limited = built(built.taken(batch)), objective.EvidenceObjective(hands.state(), biomechanics=1.)
  usual, losses = built.losses(batch, outputs, training=True), limited.losses(batch, outputs)
  assert set(losses.terms) == {*usual.terms, 'biomechanics'}
  np.testing.assert_allclose(losses.total, usual.total + losses.terms['biomechanics'], rtol=1e-5)


def test_a_turned_hand_is_the_same_hand(built):
  evidence = hands.truth().evidence()
  turn = tf.constant([[0., -1.], [1., 0.]])
  world = tf.concat([tf.matmul(evidence.world_m[..., :2], turn), evidence.world_m[..., 2:]], axis=-1)
  turned = evidence._replace(joints_2d=tf.matmul(evidence.joints_2d, turn), world_m=world)
  one, other = (built({'landmark_evidence': each.pack()}) for each in (evidence, turned))
  first, second = one['states'][-1].numpy(), other['states'][-1].numpy()
  np.testing.assert_allclose(second[:, :36], first[:, :36], atol=1e-3)


def test_refinement_lowers_the_misfit(built):
  image = tf.random.stateless_uniform([2, 224, 224, 3], [0, 0])
  plain, refined = built.refined({'image': image}, [0, 5])

  def apart(found):
    return tf.reduce_mean(tf.norm(found['joints_2d'] - found['joints_2d_rounds'][:, 0], axis=-1))
  assert float(apart(refined)) < float(apart(plain))
  np.testing.assert_allclose(plain['vertices'], built.answer({'image': image})['vertices'], atol=1e-6)


def test_equal_arguments_give_equal_batches(cached):
  one, again = (list(dataset(cached, random_share=0.5, error_file=cached, epoch=3).take(3)) for _ in range(2))
  rest = list(dataset(cached, random_share=0.5, error_file=cached, epoch=3, skip_batches=2).take(1))
  other = next(iter(dataset(cached, random_share=0.5, error_file=cached, epoch=4)))
  for name in one[0]:
    np.testing.assert_array_equal(one[2][name], again[2][name])
    np.testing.assert_array_equal(one[2][name], rest[0][name])
  assert np.any(one[0]['landmark_evidence'] != other['landmark_evidence'])
  assert sum(len(batch['landmark_evidence']) for batch in dataset(cached, training=False)) == 96


def test_files_that_are_no_evidence(tmp_path):
  with pytest.raises(UserError, match='nothing/train.npz'):
    dataset(str(tmp_path / 'nothing'))
  np.savez(batches.path_of(str(tmp_path), 'train'), landmark_evidence=np.zeros([3, 21, 7]))
  with pytest.raises(UserError, match='no cached evidence of hands .joints_2d, .*make it again'):
    dataset(str(tmp_path))
  with pytest.raises(UserError, match='sources is empty'):
    batches.evidence_dataset(HandTask())


@pytest.fixture(scope='module')
def folder(built, tmp_path_factory):
  """An export."""
  return exporter.export(built, str(tmp_path_factory.mktemp('exported') / 'hand'),
                         model_card.describe(built.task, 'hand'))


@pytest.mark.slow
def test_an_export_answers_and_refines_without_the_package(built, folder):
  loaded = tf.saved_model.load(folder)
  signature_checks.compare(folder)
  assert {'refine', 'mesh', 'render', 'find_hands', 'predict_encoded'} <= signature_checks.names(folder)
  image = tf.random.stateless_uniform([1, 224, 224, 3], [0, 5])
  nothing = {'joints_2d': tf.zeros([1, 21, 2]), 'joints_2d_weight': tf.zeros([1, 21]), 'term_weights': tf.zeros([7])}
  found = loaded.signatures['refine'](images=image, steps=tf.constant(3), **nothing)
  wanted, = built.refined({'image': image}, [3])
  np.testing.assert_allclose(found['joints_2d'], wanted['joints_2d'], atol=1e-3)
  for steps in (-1, 10**9):
    with pytest.raises(tf.errors.InvalidArgumentError, match='steps must be from 0 to 1000'):
      loaded.signatures['refine'](images=image, steps=tf.constant(steps), **nothing)
  for name in ('joints_2d_weight', 'term_weights'):
    with pytest.raises(tf.errors.InvalidArgumentError, match=f'{name} must not be below 0'):
      loaded.signatures['refine'](images=image, steps=tf.constant(1), **{**nothing, name: nothing[name] - 1.})


@pytest.mark.slow
def test_networks_by_tensorflow_lite_see_what_the_graph_sees(folder):
  graph, quick = (predictor.load(folder, lite=lite) for lite in (False, True))
  assert isinstance(quick.task.hand_finder(), finder.HandFinder)
  finders = finder.HandFinder(both_views=True), quick.task.hand_finder()
  # Upright right hands in the middle of their crops, as the finder cuts them.
  pictures, joints_px = rendered()
  for picture, joints in zip(pictures[:3], joints_px):
    (found_hands, _), (quick_hands, _) = (one.find(tf.constant(picture)) for one in finders)
    np.testing.assert_allclose(quick_hands.joints_px, found_hands.joints_px, atol=.05)
    np.testing.assert_array_equal(quick_hands.is_left, found_hands.is_left)
    box = tf.constant([*joints.min(0), *np.ptp(joints, 0)], tf.float32)
    at, quick_at = (one.at(tf.constant(picture), box) for one in finders)
    np.testing.assert_allclose(quick_at.joints_px, at.joints_px, atol=.05)
    request = requests.found(picture, 'a picture', quick_at, upright=True)
    inputs = graph.task.inputs(request._replace(views=()), graph.input_specs)
    for steps in (0, 3):
      wanted, found = (predictor.answer_with(one, inputs, steps) for one in (graph, quick))
      # The mask is left out, because nothing shows it.
      assert set(wanted) - set(found) == {'mask'}
      # What the finder has seen need not be looked at again. It cuts left hands out before they are mirrored.
      seen = predictor.answer_with(quick, quick.task.inputs(request, quick.input_specs), steps)
      for name in ('joints_2d', 'vertices', 'joint_confidence', 'score'):
        np.testing.assert_allclose(found[name], wanted[name], atol=2e-3, err_msg=name)
        np.testing.assert_allclose(seen[name], found[name], atol=1e-2, err_msg=name)


def test_known_joints_and_weights_steer_the_refinement(built):
  images = tf.random.stateless_uniform([2, 224, 224, 3], [0, 5])
  refine = tf.function(built.signatures()['refine'].function, autograph=False)
  plain = built.answer({'image': images})['joints_2d'].numpy()
  given = {'images': images, 'steps': tf.constant(20), 'joints_2d_weight': tf.one_hot([8, 8], 21), 'term_weights':
           tf.zeros([7])}
  # The tip of the index finger of the first hand is known to lie elsewhere.
  known = plain + [0.1, 0.05]
  found = refine(joints_2d=tf.constant(known, tf.float32), **given)
  weights = [10., 1., 1., .1, 1., 1., 1.]
  strong = refine(joints_2d=tf.constant(known, tf.float32), **{**given, 'term_weights': tf.constant(weights)})

  def apart(outputs):
    return np.linalg.norm((outputs - known)[:, 8], axis=-1)
  assert np.all(apart(found['joints_2d']) < 0.7 * apart(plain))
  assert np.all(apart(strong['joints_2d']) < 0.85 * apart(found['joints_2d']))
  nothing = {**given, 'joints_2d_weight': tf.zeros([2, 21])}
  np.testing.assert_allclose(refine(joints_2d=tf.constant(known, tf.float32), **nothing)['joints_2d'],
                             built.refined({'image': images}, [20])[0]['joints_2d'], atol=1e-3)


@pytest.mark.parametrize('is_left', [False, True])
def test_encoded_pictures_are_cut_as_by_predict(built, is_left):
  picture = tf.cast(tf.random.stateless_uniform([60, 80, 3], [0, 7]) * 255, tf.uint8)
  picture = tf.cast(tf.image.resize(picture, [240, 320]), tf.uint8)
  encode = built.signatures()['predict_encoded']
  found = encode.function(images=tf.io.encode_png(picture)[None], boxes=tf.constant([[40., 30., 200., 180.]]),
                          is_left=tf.constant([is_left]))
  hands = finder.HandFinder(built.landmark_net)
  at = hands.at(picture, tf.constant([40., 30., 200., 180.])).sided(tf.constant(is_left))
  request = requests.found(picture.numpy(), 'a picture', at, upright=True)
  answer = built.task.served(built.answer(built.task.inputs(request, built.input_specs)))
  wanted, = built.task.result(request, answer, built.task.describe())
  np.testing.assert_allclose(found['joints_2d_px'][0], wanted.values['joints_2d_px'], atol=0.05)
  np.testing.assert_allclose(found['vertices_m'][0], wanted.values['vertices_m'], atol=1e-4)


def test_a_bad_picture_among_encoded_ones_is_marked(built):
  picture = tf.cast(tf.random.stateless_uniform([240, 320, 3], [0, 7]) * 255, tf.uint8)
  good = tf.io.encode_png(picture)
  given = {'boxes': tf.constant([[40., 30., 200., 180.]] * 2), 'is_left': tf.constant([False, True])}
  signatures = built.signatures()
  found = signatures['predict_encoded_status'].function(images=tf.stack([good, b'no picture']), **given)
  wanted = signatures['predict_encoded'].function(images=tf.stack([good, good]), **given)
  np.testing.assert_array_equal(found['status'], [0, 1])
  np.testing.assert_allclose(found['joints_2d_px'][0], wanted['joints_2d_px'][0], atol=1e-3)
  assert not np.any(found['vertices_m'][1])
