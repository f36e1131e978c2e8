"""Flags that benchmarks of methods share: tests load several of them into one process."""
from absl import flags

_ARM = flags.DEFINE_multi_string('arm', None, 'Name of an arm; all by default.')
PHOTOGRAPHS = flags.DEFINE_string('photographs', None, 'Record set of photographs with the splits train and eval.')


def is_chosen(arm: str) -> bool:
  """Whether an arm is to be run."""
  return _ARM.value is None or arm in _ARM.value
