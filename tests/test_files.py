"""Atomic writing: nothing is lost that the user had, and nothing looks complete that is not."""
import os

import pytest

from dhpe_tf import files
from dhpe_tf.errors import UserError


def _write(path, text='new'):
  with files.atomic_path(path) as temporary, open(temporary, 'w', encoding='utf-8') as file:
    file.write(text)


def _make_folder(path):
  with files.atomic_path(path) as temporary:
    os.makedirs(temporary)
    with open(os.path.join(temporary, 'inside'), 'w', encoding='utf-8') as file:
      file.write('new')


@pytest.mark.parametrize('linked', [False, True])
def test_a_file_never_replaces_a_folder(tmp_path, linked):
  folder = tmp_path / 'a.json'
  (tmp_path / 'real' if linked else folder).mkdir()
  if linked:
    folder.symlink_to(tmp_path / 'real')
  (folder / 'kept').write_text('old')
  with pytest.raises(UserError, match=r'a\.json: it is a folder, .*choose another name, or move the folder away'):
    _write(folder)
  with pytest.raises(UserError, match='it is a folder'):
    files.check_output(folder)
  assert (folder / 'kept').read_text() == 'old' and folder.is_symlink() == linked
  assert not [path for path in tmp_path.iterdir() if 'tmp' in path.name]


def test_a_folder_never_replaces_a_file(tmp_path):
  (tmp_path / 'a').write_text('old')
  with pytest.raises(UserError, match='it is no folder, so it is left alone'):
    _make_folder(tmp_path / 'a')
  assert (tmp_path / 'a').read_text() == 'old' and len(list(tmp_path.iterdir())) == 1


def test_a_pipe_or_device_is_left_alone(tmp_path):
  os.mkfifo(tmp_path / 'a')
  for write in (_write, _make_folder, files.check_output):
    with pytest.raises(UserError, match=r'a: it is no (plain file|folder), so it is left alone'):
      write(tmp_path / 'a')
  assert (tmp_path / 'a').is_fifo()


def test_each_kind_replaces_its_own(tmp_path):
  for _ in range(2):
    _write(tmp_path / 'deep' / 'file')
    _make_folder(tmp_path / 'folder')
  assert (tmp_path / 'deep' / 'file').read_text() == (tmp_path / 'folder' / 'inside').read_text() == 'new'
  assert {path.name for path in tmp_path.iterdir()} == {'deep', 'folder'}


def test_a_result_does_not_replace_its_source(tmp_path):
  (tmp_path / 'a').write_text('old')
  os.link(tmp_path / 'a', tmp_path / 'same')
  files.check_output(tmp_path / 'b', [tmp_path / 'a'])
  for name in ('a', 'same'):
    with pytest.raises(UserError, match=f'{name}: the result would replace the file that it is made from'):
      files.check_output(tmp_path / name, [tmp_path / 'a'])


def test_only_plain_files_within_their_limit_are_read(tmp_path):
  os.mkfifo(tmp_path / 'pipe')
  (tmp_path / 'folder').mkdir()
  (tmp_path / 'long').write_bytes(bytes(11))
  (tmp_path / 'linked').symlink_to('/dev/zero')
  for name, fault in (('pipe', 'but a pipe or device'), ('folder', 'but a folder'), ('long', '11 bytes, more than'),
                      ('linked', 'but a pipe or device'), ('none', 'No such file'), ('a\0b', 'null')):
    with pytest.raises(UserError, match=f'cannot be read .*{fault}') as caught:
      files.read_within(tmp_path / name, 10)
    assert '\n' not in str(caught.value)
  (tmp_path / 'whole').write_bytes(b'0123456789')
  assert files.read_within(tmp_path / 'whole', 10) == b'0123456789'


def test_texts_are_utf_8(tmp_path):
  (tmp_path / 'a').write_bytes('é\r\nb'.encode())
  assert files.read_text(tmp_path / 'a') == 'é\nb'
  (tmp_path / 'b').write_bytes(b'\xff')
  with pytest.raises(UserError, match='b: cannot be read .not a text in UTF-8.*; ask'):
    files.read_text(tmp_path / 'b', remedy='ask')


def test_names_of_any_bytes_can_be_printed(tmp_path):
  assert files.printable('a/é.png') == 'a/é.png'
  assert files.printable(os.fsdecode(b'a/\xff.png')) == 'a/\\xff.png'


def test_messages_name_the_file_and_not_its_temporary_name(tmp_path):
  def failing(error, inner='b'):
    with files.atomic_path(tmp_path / 'a.json') as temporary, files.atomic_path(f'{temporary}/{inner}') as deep:
      assert temporary != str(tmp_path / 'a.json')
      raise error(deep, temporary)

  def refused(deep, temporary):
    return OSError(f'{temporary}: no space')
  with pytest.raises(UserError, match=f'cannot write {tmp_path}/a.json/b: {tmp_path}/a.json: no space; nothing'):
    failing(refused)
  with pytest.raises(UserError, match=f'^{tmp_path}/a.json/b: no number$'):
    failing(lambda deep, temporary: UserError(f'{deep}: no number'))
  with pytest.raises(UserError, match='^c: no number$'):
    failing(lambda deep, temporary: UserError('c: no number'))


def test_a_name_of_any_bytes_can_be_written(tmp_path):
  path = os.path.join(tmp_path, os.fsdecode(b'a\xff.txt'))
  with files.atomic_path(path) as temporary, open(temporary.encode(), 'w') as file:  # the temporary name is UTF-8
    file.write('new')
  assert os.listdir(os.fsencode(tmp_path)) == [b'a\xff.txt']
  with pytest.raises(UserError) as caught, files.atomic_path(path):
    raise OSError('no space')
  assert 'a\\xff.txt: no space' in str(caught.value)


def test_an_empty_name_is_not_the_working_folder(tmp_path, monkeypatch):
  (tmp_path / 'kept').write_text('kept')
  monkeypatch.chdir(tmp_path)
  with pytest.raises(UserError, match='is empty'), files.atomic_path('') as folder:
    os.mkdir(folder)
  assert os.listdir(tmp_path) == ['kept']
