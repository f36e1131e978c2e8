"""An exported model whose networks run by TensorFlow Lite: they look at crops, the graph goes on from what they see.

The signature `answer_looks` takes what the landmark network answers to the crops of B right hands, by name, the same
for their mirror images with `mirrored_` before the names if the method looks at them, and the scalar `steps`.
"""
from collections.abc import Callable, Mapping, Sequence
from typing import Optional

import numpy as np
import tensorflow as tf

from dhpe_tf.tasks.task import Tensors

ANSWER, STEPS, MIRRORED = 'answer_looks', 'steps', 'mirrored_'
LANDMARKS, PALMS = 'landmark_net', 'palm_net'  # names of the networks


def rows(names: Mapping[str, tf.TensorSpec]) -> tuple[str, ...]:
  """Those inputs of `answer_looks` that have one row for each hand."""
  return tuple(name for name in names if name != STEPS)


def about(names: Mapping[str, tf.TensorSpec]) -> dict[str, str]:
  """Meaning of the inputs of `answer_looks`, for the model card."""
  texts = {name: f'{name.removeprefix(MIRRORED)} as {LANDMARKS}.tflite answers to '
                 + ('the mirror images of the crops' if name.startswith(MIRRORED) else 'the crops of right hands')
           for name in rows(names)}
  return {**texts, STEPS: 'largest number of iterations of Levenberg-Marquardt, from 0'}


def looks(given: Tensors) -> tuple[Tensors, Optional[Tensors]]:
  """The answers to crops and those to their mirror images, by the network's names, of the inputs of `answer_looks`."""
  mirrored = {name.removeprefix(MIRRORED): value for name, value in given.items() if name.startswith(MIRRORED)}
  return {name: given[name] for name in rows(given) if not name.startswith(MIRRORED)}, mirrored or None


def takes_both_views(names: Sequence[str]) -> bool:
  """Whether those inputs hold what was seen in mirror images too."""
  return any(name.startswith(MIRRORED) for name in names)


def inputs_of(views: Sequence[Tensors]) -> Tensors:
  """The inputs of `answer_looks`, without the steps, of what the network said of crops and of their mirror images."""
  return {prefix + name: value for prefix, view in zip(('', MIRRORED), views) for name, value in view.items()}


def answer_of(function: Callable[..., Tensors], names: Sequence[str],
              network: Callable[[Sequence[np.ndarray]], Mapping[str, np.ndarray]]) -> Callable[[Tensors, int], Tensors]:
  """Returns (inputs, steps) -> served outputs, by `answer_looks` and the landmark network.

  The inputs are 'image', or those of `inputs_of`: hands that were looked at when they were found.

  Args:
    function: the signature.
    names: of its inputs with a row for each hand.
    network: as `LiteNetwork.answer`.
  """
  def seen_in(images: np.ndarray) -> Tensors:
    # One call for both views: the network shares the rows out to its threads.
    answers = network([*images, *images[:, :, ::-1]] if takes_both_views(names) else images)
    count = len(images)
    views = [{name: value[part] for name, value in answers.items()} for part in (slice(count), slice(count, None))]
    return inputs_of(views)

  def answer(inputs: Tensors, steps: int) -> Tensors:
    given = seen_in(np.asarray(inputs['image'])) if 'image' in inputs else inputs
    return function(**{name: tf.constant(given[name]) for name in names}, steps=tf.constant(steps))
  return answer
