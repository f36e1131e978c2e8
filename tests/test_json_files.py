import json

import pytest

from dhpe_tf import json_files
from dhpe_tf.errors import UserError


@pytest.mark.parametrize('text, fault', [
    ('', 'Expecting value'), ('{"a": 1', 'Expecting'), ('[' * 200_000, 'nested too deeply'),
    ('[' * 65 + ']' * 65, 'nested more than 64 deep'), ('{"a": ' * 70 + '1' + '}' * 70, 'nested more than 64 deep'),
    ('["a\\u0000b"]', 'NUL'), ('["\\\\\\u0000"]', 'NUL'), ('["\\ud800"]', 'surrogates'), ('1' * 5000, 'limit')])
def test_what_cannot_be_read_is_one_line(text, fault):
  with pytest.raises(UserError, match=f'^a.json:3: not JSON that can be read .*{fault}.*; mend it$') as caught:
    json_files.parse(text, 'a.json:3', 'mend it')
  assert len(str(caught.value)) < 400


@pytest.mark.parametrize('content', [
    {'a': [1, 2.5, None, True], 'b': 'é😀'}, '\\u0000', [[0]] * 100, 'half \\ud800', '['  * 100])
def test_good_json_is_read(content, tmp_path):
  for ascii_only in (True, False):
    text = json.dumps(content, ensure_ascii=ascii_only)
    (tmp_path / 'a.json').write_text(text, encoding='utf-8')
    assert json_files.read(tmp_path / 'a.json') == content


def test_an_object_is_one(tmp_path):
  (tmp_path / 'a.json').write_text('[1]')
  with pytest.raises(UserError, match='a.json: a JSON object was expected; mend it'):
    json_files.read_object(tmp_path / 'a.json', 'mend it')
