"""Every file in gin/ parses strictly, holds no setting that reaches nothing, and trains a step if its method learns."""
import pathlib

import gin
import pytest
import tensorflow as tf

from dhpe_tf import command_line, configuration, experiment, train
from tests.data import records
from tests.methods.dhpe.landmarks import hands as landmark_hands

FOLDER = pathlib.Path(__file__).parent.parent / 'gin'
FILES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob('*.gin') if path.name != configuration.DEFAULTS)

# Files that change others, and the file that they are tried on.
_ON_TOP = {f'ablations/{name}.gin': 'ablations/full.gin' for name in ('size_two_cores', 'start')}
_ON_TOP['methods/dhpe_keypoints.gin'] = 'rendered.gin'
_ON_TOP['upright_crops.gin'] = 'methods/dhpe_landmarks.gin'
_ON_TOP['bench/pictures.gin'] = 'methods/direct.gin'

# Files of methods that have none of dhpe's networks, and of those that do not learn.
_OTHERS = ('methods/lifting.gin', 'methods/particle_swarm.gin', 'methods/levenberg_marquardt.gin')
_FITS = _OTHERS[1:]
# Files of trainings from cached evidence.
_FROM_EVIDENCE = ('quickstart.gin', 'landmarks.gin')
_ON_LANDMARKS = (*_FROM_EVIDENCE, 'methods/dhpe_landmarks.gin', 'upright_crops.gin', 'bench/landmarks.gin')
# Files of direct regression, whose networks are small; those of the generalisation bench name its splits.
_DIRECT = ('methods/direct.gin', 'bench/direct.gin', 'bench/direct_recombined.gin', 'bench/direct_all_regions.gin',
           'bench/pictures.gin', 'bench/lifter.gin')
# Files of the cross-modal VAE and of 2.5D regression, likewise; those of public datasets have their networks at the
# papers' size.
_OF_FAMILY = tuple(name for name in FILES if 'cross_modal_vae' in name or 'relative_depth' in name)
# Files of contrastive pre-training, which has a dataset of its own.
_CONTRASTIVE = ('methods/peclr.gin', 'methods/simclr.gin', 'peclr_freihand.gin')
_BENCH_SPLITS = ('interp', 'train_recombined', 'train_all_regions')

# Files that differ from others by values of the same settings, or that longer tests train too.
_RARER = ('rhd.gin', 'stb.gin', 'rhd_stb.gin', 'dexter_object.gin', 'cross_modal_vae_rhd.gin',
          'cross_modal_vae_stb.gin', 'relative_depth_rhd.gin', 'relative_depth_stb.gin',
          'relative_depth_rhd_freihand.gin', 'upright_crops.gin', 'bench/landmarks.gin',
          'bench/relative_depth_joints.gin', 'photographs.gin', 'models/paper.gin', 'landmarks.gin',
          'methods/cross_modal_vae_paper.gin', 'methods/relative_depth_paper.gin', 'methods/relative_depth_joints.gin',
          'methods/dhpe_paper.gin', 'methods/dhpe_landmarks.gin', 'methods/simclr.gin', 'peclr_freihand.gin',
          'methods/dhpe_keypoints.gin', 'models/light.gin', 'bench/cross_modal_vae.gin', 'bench/direct_recombined.gin',
          'bench/cross_modal_vae_skeletons.gin', 'methods/cross_modal_vae_joints.gin',
          'bench/relative_depth_limits.gin', 'bench/relative_depth.gin', 'bench/pictures.gin',
          *(name for name in FILES if name.startswith('ablations/')))

# The networks shrunk, so that the whole folder takes little time; what the files set is used or overridden.
_SMALL = ('IMAGE_SIZE = 64', "backbone.architecture = 'resnet_tiny'", 'backbone.weights = None',
          'backbone.freeze_until = None', 'build_dataset.batch_size = 2', 'train.epochs = 1',
          'train.steps_per_epoch = 1', 'train.eval_steps = 1')
_SMALL_BY_NET = {'pose_machine': ('pose_machine.width = 0.05',), 'pyramid_decoder': ('pyramid_decoder.channels = 8',)}


@pytest.fixture(autouse=True)
def _clean():
  # One step pays for no tracing.
  tf.config.run_functions_eagerly(True)
  yield
  tf.config.run_functions_eagerly(False)
  gin.clear_config()
  tf.keras.backend.clear_session()


@pytest.fixture(scope='module')
def record_set(tmp_path_factory):
  root = records.write(tmp_path_factory.mktemp('records'), 4)
  landmark_hands.write_cached(root, 8)
  landmark_hands.write_cached(root, 8, 'eval')
  for split in _BENCH_SPLITS:
    records.write(root, 4, split)
  return records.write(root, 4, 'eval')


def _files(name):
  return [_ON_TOP[name], name] if name in _ON_TOP else [name]


def _settings(name, record_set):
  configuration.load(_files(name))
  if name in _OTHERS:
    yield from (f'RECORDS = {record_set!r}', *_SMALL[-4:])
    return
  if name in (*_DIRECT, *_OF_FAMILY):
    yield from _SMALL[-4:]
    yield from _sources(name, record_set)
    return
  if name in _ON_LANDMARKS:
    yield from _landmark_settings(name, record_set)
    return
  if name in _CONTRASTIVE:
    yield from _contrastive_settings(name, record_set)
    return
  bound = configuration._read(gin.config_str())[0]
  given = {str(binding) for binding in bound}
  yield from _SMALL
  net = 'dhpe.build_model.keypoint_net_name'
  if not any(binding.endswith('build_model.keypoint_net_name') for binding in given):
    yield from _SMALL_BY_NET['pose_machine']
  else:
    yield from _SMALL_BY_NET[gin.query_parameter(net)]
  # Record sets that a file names by macros.
  macros = [name for name in ('RECORDS', 'SYNTHETIC', 'PHOTOGRAPHS', 'RHD', 'STB', 'DEXTER_OBJECT') if name in given]
  for name in macros:
    yield f'{name} = {record_set!r}'
  if not macros:
    yield f"train/build_dataset.sources = [({record_set!r}, 'train', 1.0)]"
    yield f"eval/build_dataset.sources = [({record_set!r}, 'eval', 1.0)]"
  if not any(binding.endswith('build_dataset.image_size') for binding in given):
    yield 'build_dataset.image_size = %IMAGE_SIZE'


def _sources(name, record_set):
  """The record set of a file, by the macro RECORDS where the file has it."""
  if name.startswith('bench/') or name in _OF_FAMILY and not name.startswith('methods/'):
    yield f'RECORDS = {record_set!r}'
    if 'freihand' in name:
      yield from (f'FREIHAND = {record_set!r}', 'with_partial_labels.partial_per_batch = 2')
  else:
    yield from (f"{split}/build_dataset.sources = [({record_set!r}, '{split}', 1.0)]" for split in ('train', 'eval'))


def _contrastive_settings(name, record_set):
  yield from (setting for setting in _SMALL[-4:] if 'batch_size' not in setting)
  yield 'contrastive.pairs.batch_size = 4'
  if name == 'peclr_freihand.gin':
    yield from (f'RECORDS = {record_set!r}', 'IMAGE_SIZE = 64')
  else:
    yield from (f"{split}/contrastive.pairs.sources = [({record_set!r}, '{split}', 1.0)]"
                for split in ('train', 'eval'))


def _landmark_settings(name, record_set):
  yield from (setting for setting in _SMALL[-4:] if 'batch_size' not in setting)
  if name in _FROM_EVIDENCE:
    macros = ('EVIDENCE',) if name == 'quickstart.gin' else ('ANY', 'UPRIGHT', 'PHOTOGRAPHS')
    yield from (f'{macro} = {record_set!r}' for macro in macros)
    yield from ('evidence_dataset.batch_size = 4', 'RandomHands.poses = 50')
    return
  yield from ('train.callbacks = []', 'build_dataset.batch_size = 2', 'build_dataset.image_size = 224')
  yield from _sources(name, record_set)


@pytest.mark.parametrize('name', [pytest.param(name, marks=pytest.mark.slow) if name in _RARER else name
                                  for name in FILES if name not in _FITS])
def test_trains_a_step_without_dead_bindings(name, record_set, tmp_path, capsys):
  params = [f'--gin_param={param}' for param in _settings(name, record_set)]
  files = [f'--gin_file={file}' for file in _files(name)]
  status = command_line.call(train.main, ['train', *files, f'--model_dir={tmp_path}', *params], train._FLAGS)
  assert status == 0, capsys.readouterr().err[-2000:]


@pytest.mark.parametrize('name', _FITS)
def test_fits_are_built_without_dead_bindings(name):
  configuration.load([name])
  experiment.Experiment().build_method()
  # Settings of trainings and data, such as those of the defaults, take effect elsewhere.
  dead = [name for name in configuration.dead_bindings() if name.split('.')[0] not in ('train', 'build_dataset')]
  assert not dead


def test_dead_bindings_would_be_found(record_set, tmp_path, capsys):
  params = [f'--gin_param={param}' for param in (*_settings('models/tiny.gin', record_set), 'pose_machine.stages = 2')]
  status = command_line.call(train.main, ['train', '--gin_file=models/tiny.gin', f'--model_dir={tmp_path}', *params],
                             train._FLAGS)
  assert status == 1
  assert 'these settings reach nothing: pose_machine.stages' in capsys.readouterr().err
