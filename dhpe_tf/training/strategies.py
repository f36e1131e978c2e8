"""tf.distribute strategies by name."""
import os

import tensorflow as tf

from dhpe_tf.errors import UserError

NAMES = ('auto', 'one', 'mirrored', 'multi_worker', 'tpu')


def build_strategy(name: str = 'auto', tpu: str = '') -> tf.distribute.Strategy:
  """Builds the strategy under which model and optimizer live.

  Args:
    name: 'one' device; 'mirrored' over all GPUs, or over all logical CPUs where there is no GPU; 'multi_worker' as
      the environment variable TF_CONFIG says; 'tpu'; 'auto' chooses multi_worker if TF_CONFIG is set, mirrored if there
      are several GPUs, and one otherwise.
    tpu: name or address of the TPU; empty for the one attached to this machine.

  Raises:
    UserError: unknown name, or what it needs is not there.
  """
  if name == 'auto':
    several = len(tf.config.list_logical_devices('GPU')) > 1
    name = 'multi_worker' if 'TF_CONFIG' in os.environ else 'mirrored' if several else 'one'
  if name == 'one':
    return tf.distribute.get_strategy()
  if name == 'mirrored':
    kind = 'GPU' if tf.config.list_logical_devices('GPU') else 'CPU'
    return tf.distribute.MirroredStrategy([device.name for device in tf.config.list_logical_devices(kind)])
  if name == 'multi_worker':
    if 'TF_CONFIG' not in os.environ:
      raise UserError("strategy 'multi_worker' needs the environment variable TF_CONFIG (cluster and task); set it.")
    return tf.distribute.MultiWorkerMirroredStrategy()
  if name == 'tpu':
    return _tpu_strategy(tpu)
  raise UserError(f'train.strategy is {name!r}; it must be one of {", ".join(NAMES)}.')


def _tpu_strategy(tpu: str) -> tf.distribute.Strategy:
  try:
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu or 'local')
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
  except (ValueError, tf.errors.OpError) as error:
    raise UserError(f"strategy 'tpu': no TPU found ({error}); name one by train.tpu, or take another.") from error
  return tf.distribute.TPUStrategy(resolver)
