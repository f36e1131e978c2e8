"""The simulated servers against what queueing theory knows."""
import numpy as np
import pytest

from tests.benchmarks import fleet


@pytest.mark.parametrize('load', [.3, .7])
def test_one_server_waits_as_theory_tells(load):
  # Pollaczek and Khinchine, equal service times s: the mean wait is s load / (2 (1 - load)).
  found_s = fleet.simulate(1, load / .05, lambda size: .05, 1, fleet.CHANCE, 100_000)
  np.testing.assert_allclose(found_s.mean() - .05, .05 * load / (2 * (1 - load)), rtol=.06)


def test_servers_by_chance_are_so_many_single_servers():
  many = fleet.simulate(8, 8 * .6 / .05, lambda size: .05, 1, fleet.CHANCE, 100_000)
  one = fleet.simulate(1, .6 / .05, lambda size: .05, 1, fleet.CHANCE, 100_000)
  np.testing.assert_allclose(many.mean(), one.mean(), rtol=.06)


def test_nobody_waits_where_there_are_enough_servers():
  found_s = fleet.simulate(50, 10., lambda size: .05, 1, fleet.FEWEST, 2000)
  np.testing.assert_allclose(found_s, .05)


def test_the_fewest_waiting_is_better_than_chance():
  chance, fewest = (fleet.simulate(16, 16 * .8 / .05, lambda size: .05, 1, balance, 20_000).mean()
                    for balance in (fleet.CHANCE, fleet.FEWEST))
  assert fewest < .5 * chance


def test_batches_carry_a_load_that_single_requests_cannot():
  # A batch takes as long as one request, so a server that takes all that wait never queues for more than two batches.
  found_s = fleet.simulate(1, 400., lambda size: .05, 64, fleet.CHANCE, 20_000)
  assert found_s.max() <= .1 + 1e-9
  single_s = fleet.simulate(1, 400., lambda size: .05, 1, fleet.CHANCE, 20_000)
  assert single_s.max() > 100.


def test_batches_take_what_was_measured():
  batch_s = fleet.interpolated({1: 1., 8: 4.5, 32: 20.})
  np.testing.assert_allclose([batch_s(size) for size in (1, 2, 8, 20, 32, 64)], [1., 1.5, 4.5, 12.25, 20., 40.])


def test_the_number_of_servers_is_the_least_that_suffices():
  batch_s, rate = fleet.interpolated({1: .05}), 400.
  count = fleet.servers_needed(rate, batch_s, 1, fleet.FEWEST, 20_000, .5)
  within = [np.percentile(fleet.simulate(servers, rate, batch_s, 1, fleet.FEWEST, 20_000)[2000:], 99) <= .5
            for servers in (count - 1, count)]
  assert within == [False, True]
