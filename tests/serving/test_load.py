"""The contract under load: a server with request batching, a version that is exchanged, a restart, corrupt requests."""
import os
import shutil

import pytest

from dhpe_tf.serving import exporter
from tests.serving import load, servers, toy

pytest.importorskip('tensorflow_serving')
_FLAGS = ('--batching', '--max_batch_size=16', '--batch_timeout_s=0.005')
# Memory may grow by so much once the server has answered requests of every kind.
MOST_GROWTH = 0.02


@pytest.fixture(scope='module')
def other_export(tmp_path_factory):
  """An export of a toy with other weights, version 4."""
  return exporter.export(toy.build_toy_model(seed=5), str(tmp_path_factory.mktemp('exported') / 'toy'), {}, version=4)


def run(count, toy_export, other_export, folder):
  """Requests, answers and the memory after warm-up and at the end."""
  shutil.copytree(toy_export, folder / 'toy' / '3')
  ports = [f'--port={servers.free_port()}', f'--rest_port={servers.free_port()}']
  requests = load.mixed(count)
  server = servers.start(folder / 'toy', *_FLAGS, *ports)
  try:
    traffic = load.Traffic(server, 'toy', requests)
    traffic.wait_for(0.15)
    shutil.copytree(other_export, folder / 'copy')
    os.rename(folder / 'copy', folder / 'toy' / '4')
    traffic.wait_for(0.4)
    server.process.terminate()
    server.process.wait()
    server = servers.start(folder / 'toy', *_FLAGS, *ports)
    traffic.wait_for(0.65)
    warm = server.resident_bytes()
    answers = traffic.finish()
    return requests, answers, warm, server.resident_bytes()
  finally:
    server.process.kill()
    server.process.wait()


def check(count, toy_export, other_export, folder):
  """Runs and asserts all but the memory, whose growth is returned."""
  requests, answers, warm, last = run(count, toy_export, other_export, folder)
  assert len(answers) == len(requests) == count
  outcome = load.judge(requests, answers, [load.direct_answers(toy_export), load.direct_answers(other_export)])
  assert not outcome.wrong and not outcome.taken, outcome
  # Both versions have answered, and after the restart the new one alone.
  assert outcome.versions[0] == 0 and set(outcome.versions.values()) == {0, 1}
  assert all(version == 1 for number, version in outcome.versions.items() if number > 0.6 * count)
  return last / warm - 1.


@pytest.mark.slow
def test_every_good_request_is_answered_and_every_bad_one_refused(toy_export, other_export, tmp_path):
  check(160, toy_export, other_export, tmp_path)


@pytest.mark.slow
def test_two_thousand_requests_leave_memory_as_it_is(toy_export, other_export, tmp_path):
  assert check(2000, toy_export, other_export, tmp_path) < MOST_GROWTH


def test_the_judge_sees_lost_wrong_and_taken_requests(toy_export):
  requests, direct = load.mixed(20), [load.direct_answers(toy_export)]
  good = {number: direct[0].get((request.image, request.box)) for number, request in enumerate(requests)}
  bad = {9: {'status': 1}, 19: {'status': 1}}
  assert load.judge(requests, {**good, **bad}, direct)[:2] == ([], [])
  damaged = {**good[3], 'score': good[3]['score'] + 1e-3}
  lost = {number: answer for number, answer in good.items() if number != 5}
  found = load.judge(requests, {**lost, **bad, 3: damaged, 9: {'status': 0}}, direct)
  assert found.wrong == [3, 5] and found.taken == [9]
