"""Statistics of hand records: collected in parts they are those of one pass."""
import json

from dhpe_tf.tasks.hand.record import SCHEMA
from dhpe_tf.tasks.hand.record_statistics import HandStatistics
from tests.data import records


def test_statistics_merge_to_what_one_pass_gives():
  whole, parts = HandStatistics(SCHEMA), [HandStatistics(SCHEMA), HandStatistics(SCHEMA)]
  for i in range(6):
    record = records.record(i, side=('right', 'left')[i % 2])
    whole.add(record)
    parts[i % 2].add(record)
  parts[0].merge(HandStatistics(SCHEMA).load(json.loads(json.dumps(parts[1].state()))))
  summary = whole.summary()
  assert parts[0].summary() == summary
  assert summary['count'] == 6 and summary['sides'] == {'left': 3, 'right': 3}
  depths = summary['histograms']['root_depth_m']
  assert depths['counts'][depths['bins_end_at'].index(.5)] == 6
