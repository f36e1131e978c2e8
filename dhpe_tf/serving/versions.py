"""The numbered versions of an exported model, in the folder layout of TensorFlow Serving."""
import os


def next_version(export_dir: str) -> int:
  """Returns the highest version in `export_dir` plus one, or 1 if there is none."""
  return max(list_versions(export_dir), default=0) + 1


def list_versions(export_dir: str) -> list[int]:
  """Returns the version numbers in `export_dir` in ascending order."""
  names = os.listdir(export_dir) if os.path.isdir(export_dir) else []
  return sorted(int(name) for name in names if name.isdigit())
