"""The document that travels with an exported model: all that its users must know, for people and programs."""
import platform
from typing import Any

import tensorflow as tf

import dhpe_tf
from dhpe_tf.tasks.task import Task


def describe(task: Task, name: str, config: str = '') -> dict[str, Any]:
  """Describes an exported model.

  Args:
    task: what it answers; says of itself what its users must know.
    name: of the model.
    config: the configuration it was trained with, gin text.

  Returns:
    What json can write; the exporter adds version, date and signatures.
  """
  return {'name': name, 'task': task.name, 'task_class': type(task).__name__, **task.describe(),
          'versions': {'dhpe_tf': dhpe_tf.__version__, 'tensorflow': tf.__version__,
                       'python': platform.python_version()},
          'config': config}
