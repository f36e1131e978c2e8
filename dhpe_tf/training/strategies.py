"""Builds tf.distribute strategies by name."""
import json
import os

import tensorflow as tf

from dhpe_tf.errors import UserError

NAMES = ('auto', 'one', 'mirrored', 'multi_worker', 'tpu')


def build_strategy(name: str = 'auto', tpu: str = '') -> tf.distribute.Strategy:
  """Builds the strategy under which model and optimizer are created.

  Args:
    name: 'one' device; 'mirrored' over all GPUs, or over all logical CPUs if there is no GPU; 'multi_worker' as the
      environment variable TF_CONFIG defines it; 'tpu'; or 'auto': multi_worker if TF_CONFIG is set, mirrored if there
      are several GPUs, one otherwise.
    tpu: name or address of the TPU; empty for the one attached to this machine.

  Returns:
    The strategy.

  Raises:
    UserError: unknown name, or the devices or workers are not available.
  """
  if name == 'auto':
    # TF_CONFIG is read first: listing devices starts TensorFlow, and workers must be joined before that.
    name = 'multi_worker' if os.environ.get('TF_CONFIG') else 'mirrored' if _several_gpus() else 'one'
  if name == 'one':
    return tf.distribute.get_strategy()
  if name == 'mirrored':
    kind = 'GPU' if tf.config.list_logical_devices('GPU') else 'CPU'
    return tf.distribute.MirroredStrategy([device.name for device in tf.config.list_logical_devices(kind)])
  if name == 'multi_worker':
    return _multi_worker_strategy()
  if name == 'tpu':
    return _tpu_strategy(tpu)
  raise UserError(f'train.strategy is {name!r}; it must be one of {", ".join(NAMES)}.')


def _several_gpus() -> bool:
  """Whether TensorFlow sees more than one GPU."""
  return len(tf.config.list_logical_devices('GPU')) > 1


def _multi_worker_strategy() -> tf.distribute.Strategy:
  """Joins the workers of TF_CONFIG; raises a UserError if it is missing or wrong, or a worker cannot be joined."""
  example = '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, "task": {"type": "worker", "index": 0}}'
  text = os.environ.get('TF_CONFIG')
  if not text:
    raise UserError(f"strategy 'multi_worker' needs the environment variable TF_CONFIG, such as {example}; set it.")
  try:
    config = json.loads(text)
    task = config['task']
    config['cluster'][task['type']][int(task['index'])]
  except (ValueError, TypeError, KeyError, IndexError) as error:
    raise UserError(f'TF_CONFIG is {text!r}, which names no task of a cluster ({type(error).__name__}: {error}); '
                    f'it must look like {example}.') from error
  try:
    return tf.distribute.MultiWorkerMirroredStrategy()
  except (RuntimeError, ValueError, tf.errors.OpError) as error:
    raise UserError(f'TF_CONFIG is {text!r}, but its workers could not be joined: {str(error).splitlines()[0]}; '
                    'see that each worker is started in a process of its own and its port is free.') from error


def _tpu_strategy(tpu: str) -> tf.distribute.Strategy:
  """Connects to a TPU; raises a UserError if there is none."""
  try:
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu or 'local')
    tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
  except (ValueError, tf.errors.OpError) as error:
    raise UserError(f"strategy 'tpu': no TPU found ({error}); name one by train.tpu, or take another.") from error
  return tf.distribute.TPUStrategy(resolver)
