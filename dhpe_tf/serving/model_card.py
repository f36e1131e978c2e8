"""The model card: a JSON document, exported with the model, that tells users and programs how to use it."""
import platform
from typing import Any

import tensorflow as tf

import dhpe_tf
from dhpe_tf.tasks.task import Task

USAGE = 'usage'  # the entry of `Method.usage`


def describe(task: Task, name: str, config: str = '') -> dict[str, Any]:
  """Describes an exported model.

  Args:
    task: the task that the model answers; its `describe` adds conventions and outputs.
    name: of the model.
    config: gin text of the configuration it was trained with.

  Returns:
    Entries that JSON can hold; the exporter adds version, date and signatures.
  """
  return {'name': name, 'task': task.name, 'task_class': type(task).__name__, **task.describe(),
          'versions': {'dhpe_tf': dhpe_tf.__version__, 'tensorflow': tf.__version__,
                       'python': platform.python_version()},
          'config': config}
