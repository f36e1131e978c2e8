import pytest

from data_tools import counts


def test_records_that_are_missing_are_found():
  about = {'counts': {'train': 5}, 'published_counts': {'train': 6}, 'skipped': {'train': ['a', 'b']}}
  assert counts.findings('train', 6, {'counts': {'train': 6}, 'published_counts': {'train': 6}}) == []
  stated, published = counts.findings('train', 4, about)
  assert stated == '4 records, but dataset.json states 5'
  assert published.startswith('4 records and 2 skipped, but 6 are published')
  assert counts.findings('eval', 4, about) == []


@pytest.mark.parametrize('odd', [None, 2.5, [], 'train', {'train': 2.5}])
def test_what_dataset_json_holds_by_mistake_is_passed_over(odd):
  assert counts.findings('train', 6, {'counts': {'train': 6}, 'published_counts': {'train': 6}, 'skipped': odd}) == []
  assert isinstance(counts.findings('train', 6, {'counts': odd, 'published_counts': odd}), list)
