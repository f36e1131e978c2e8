"""Converts hands with 2D keypoints in COCO's JSON format to records, such as MMPose's OneHand10K and COCO-WholeBody.

  python -m data_tools.convert_coco_hand --name=coco_wholebody --input=coco --output=records/coco_wholebody
    --train_annotations=annotations/coco_wholebody_train_v1.0.json --train_images=train2017
    --eval_annotations=annotations/coco_wholebody_val_v1.0.json --eval_images=val2017

OneHand10K does not label the side of its hands. --side states one for all of them, which is right for most. The
categories of MMPose's file of RHD name each finger from base to tip, but its keypoints run from tip to base:
--joint_order=rhd.
"""
import os

from absl import flags

from data_tools import conversion
from data_tools.readers import coco_hand
from dhpe_tf import command_line

_SPLITS = ('train', 'eval')
_FLAGS = flags.FlagValues()
conversion.define_flags(_FLAGS, splits=None)
for _split in _SPLITS:
  flags.DEFINE_string(f'{_split}_annotations', None, f'JSON file of the split {_split}, relative to --input',
                      flag_values=_FLAGS)
  flags.DEFINE_string(f'{_split}_images', '', f'folder of the pictures of the split {_split}, relative to --input',
                      flag_values=_FLAGS)
flags.DEFINE_string('name', 'coco_hand', 'name of the dataset, written into each record', flag_values=_FLAGS)
flags.DEFINE_enum('side', None, coco_hand.SIDES, 'which hand it is where the labels do not say; by default '
                  'by names of pictures that end in _r or _l', flag_values=_FLAGS)
flags.DEFINE_string('joint_order', None, 'order of the keypoints, whatever the categories say; by default theirs, or '
                    f'{coco_hand.DEFAULT_ORDER} where they do not name the keypoints', flag_values=_FLAGS)
flags.DEFINE_float('min_v', coco_hand.MIN_V, 'least v of a label that counts, for files with fractions such as '
                   'COCO-WholeBody; 0 takes every v above 0, as MMPose does', lower_bound=0., upper_bound=1.,
                   flag_values=_FLAGS)


def main(argv: list[str]) -> None:
  """Converts the splits whose --<split>_annotations are given, from --input to records in --output."""
  del argv
  named = {split: _FLAGS[f'{split}_annotations'].value for split in _SPLITS}
  annotations = {split: os.path.join(_FLAGS.input, name) for split, name in named.items() if name}
  images = {split: os.path.join(_FLAGS.input, _FLAGS[f'{split}_images'].value) for split in annotations}
  reader = coco_hand.CocoHandReader(annotations, images, _FLAGS.side, _FLAGS.joint_order, _FLAGS.name,
                                    _FLAGS.min_v)
  conversion.convert(reader, _FLAGS, splits=tuple(annotations))


if __name__ == '__main__':
  command_line.run(main, _FLAGS)
