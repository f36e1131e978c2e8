"""Which checks a set of hand records gets."""
from typing import Any, Optional

from dhpe_tf.data.checks import Check
from dhpe_tf.hand import hand_model
from dhpe_tf.tasks.hand.checks import anatomy, labels, pictures, placement


def make(about: Optional[dict], options: Any) -> list[Check]:
  """The checks of one split, with nothing gathered yet.

  Args:
    about: the content of dataset.json, None where there is none.
    options: with hand_model, tolerance_px and placement_records (see `task_flags`).

  Raises:
    UserError: the hand model cannot be read.
  """
  made_with = (about or {}).get('options', {})
  model = hand_model.load_hand_model(options.hand_model)
  if options.hand_model is None and 'MANO' in str(made_with.get('parameters')):
    model = None
  first = 'palm' if made_with.get('first_keypoint') == 'palm' else 'wrist'
  return [anatomy.DatasetSide(str((about or {}).get('source', ''))), labels.Values(),
          labels.Projection(options.tolerance_px), labels.Depth(), anatomy.Bones(first), anatomy.Side(),
          anatomy.Parameters(model), pictures.Pictures(), pictures.Masks(),
          placement.Placement(options.placement_records)]
