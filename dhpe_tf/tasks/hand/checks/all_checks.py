"""Selects the checks for a record set of hands."""
from typing import Any, Optional

from dhpe_tf.data.checks import Check
from dhpe_tf.errors import UserError
from dhpe_tf.hand import hand_model
from dhpe_tf.tasks.hand.checks import anatomy, labels, pictures, placement


def make(about: Optional[dict], options: Any) -> list[Check]:
  """Returns the checks of one split, without any records yet.

  Args:
    about: content of dataset.json, or None if there is none. Its options name the fingertips of the hand model.
    options: parsed flags with hand_model, tolerance_px and placement_records (see `task_flags`).

  Raises:
    UserError: the hand model cannot be read, or the options name no fingertips.
  """
  made_with = (about or {}).get('options', {})
  tips = made_with.get('tip_vertices')
  if not isinstance(tips, (str, type(None))):
    raise UserError('dataset.json: the option tip_vertices must be a text; convert the data again')
  model = hand_model.load_hand_model(options.hand_model, **({'tip_vertices': tips} if tips else {}))
  if options.hand_model is None and 'MANO' in str(made_with.get('parameters')):
    model = None
  first = 'palm' if made_with.get('first_keypoint') == 'palm' else 'wrist'
  return [anatomy.DatasetSide(str((about or {}).get('source', ''))), labels.Hands(),
          labels.Projection(options.tolerance_px), labels.Depth(), anatomy.Bones(first), anatomy.Side(),
          anatomy.Parameters(model), pictures.Pictures(), pictures.Masks(),
          placement.Placement(options.placement_records)]
