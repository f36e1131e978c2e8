"""The numbered versions of an exported model, as TensorFlow Serving lays them out."""
import os


def next_version(export_dir: str) -> int:
  """One more than the highest version in `export_dir`; 1 if there is none."""
  return max(list_versions(export_dir), default=0) + 1


def list_versions(export_dir: str) -> list[int]:
  """The versions in `export_dir`, ascending."""
  names = os.listdir(export_dir) if os.path.isdir(export_dir) else []
  return sorted(int(name) for name in names if name.isdigit())
