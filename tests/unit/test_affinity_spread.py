"""What the busiest replica gets: evenly dealt, hashed, and hashed under a bound; and the replicas that this takes."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.affinity import EVEN, Spread, ring_imbalance, usual_imbalance

HASHED = Spread(hashed=True)
BOUNDED = Spread(hashed=True, load_factor=1.25)
SPREADS = st.sampled_from([EVEN, HASHED, BOUNDED, Spread(hashed=True, load_factor=1.0)])


@pytest.mark.parametrize(
    ("replicas", "sessions", "even", "bounded", "hashed"),
    [
        (1, 100, 100, 100, 100),
        (2, 100, 50, 61, 61),  # hashing alone stays below 1.25 times the mean
        (4, 100, 25, 32, 36),
        (8, 100, 13, 16, 22),
        (100, 100, 1, 2, 6),
    ],
)
def test_hashing_crowds_one_replica_and_a_bound_stops_it(
    replicas: int, sessions: int, even: int, bounded: int, hashed: int
) -> None:
    peaks = [spread.peak_sessions(replicas, sessions) for spread in (EVEN, BOUNDED, HASHED)]
    assert peaks == [even, bounded, hashed]


def test_without_a_bound_it_is_the_imbalance_of_a_usual_ring_or_of_this_one() -> None:
    servers = [f"10.0.0.{n}:8000" for n in range(1, 5)]
    assert HASHED.peak_sessions(4, 250) == usual_imbalance(4, 250).peak_sessions
    assert HASHED.peak_on(servers, 250) == ring_imbalance(dict.fromkeys(servers, 1), 250).peak_sessions
    assert BOUNDED.peak_on(servers, 250) == min(HASHED.peak_on(servers, 250), 79)
    assert EVEN.peak_on(servers, 250) == 63


@settings(deadline=None)
@given(SPREADS, st.integers(1, 400), st.integers(1, 60))
def test_the_replicas_are_the_fewest_whose_busiest_stays_within_its_slots(
    spread: Spread, sessions: int, slots: int
) -> None:
    found = spread.replicas_for(sessions, slots)
    tried = range(1, spread.most_replicas(sessions) + 1)
    assert found == next((n for n in tried if spread.peak_sessions(n, sessions) <= slots), None)


@settings(deadline=None)
@given(SPREADS, st.integers(1, 10**10), st.integers(1, 2000))
def test_any_number_of_sessions_is_spread_at_once(spread: Spread, sessions: int, replicas: int) -> None:
    begun = time.process_time()
    peak = spread.peak_sessions(replicas, sessions)
    assert -(-sessions // replicas) <= peak <= sessions
    assert time.process_time() - begun < 10
