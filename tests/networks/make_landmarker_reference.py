"""Writes landmarker_reference.npz: TensorFlow Lite's answers of the original files to `landmarker_pictures`.

  python -m tests.networks.make_landmarker_reference mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl
"""
import pathlib
import sys

import numpy as np

import dhpe_tf  # noqa: F401  (selects Keras 2)
from data_tools import landmarker
from tests.networks.landmarker_pictures import pictures

OUTPUT = pathlib.Path(__file__).with_name('landmarker_reference.npz')
STEP = 31  # of the palm network's 2016 anchors every 31st is kept


def _answers(source: landmarker.Source, side: int) -> list[np.ndarray]:
  return landmarker.interpret(landmarker.read_file(sys.argv[1], source.path), pictures(side))


def main() -> None:
  landmarks, palms = landmarker.SOURCES
  joints, presence, right, world = _answers(landmarks, 224)
  boxes, scores = _answers(palms, 192)
  np.savez_compressed(OUTPUT, joints=joints, presence=presence, right=right, world=world,
                      boxes=boxes[:, ::STEP], scores=scores[:, ::STEP, 0])


if __name__ == '__main__':
  main()
