import pytest

from dhpe_tf.errors import UserError
from dhpe_tf.inference import files


def test_pictures_of_a_folder_by_name(tmp_path):
  for name in ('b.PNG', 'a.jpg', '.hidden.jpg', 'notes.txt'):
    (tmp_path / name).write_bytes(b'')
  assert [path.rpartition('/')[2] for path in files.list_pictures(str(tmp_path))] == ['a.jpg', 'b.PNG']
  with pytest.raises(UserError, match='no such file or folder'):
    files.list_pictures(str(tmp_path / 'none'))
  (tmp_path / 'empty').mkdir()
  with pytest.raises(UserError, match='no picture in this folder'):
    files.list_pictures(str(tmp_path / 'empty'))
