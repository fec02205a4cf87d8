"""How much more than the mean the busiest replica gets: against simulation, published figures and simple bounds."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.affinity import (
    bounded_imbalance,
    build_ring,
    displaced_share,
    place_bounded,
    ring_imbalance,
    session_keys,
    usual_imbalance,
)
from infra.affinity.imbalance import bound
from infra.affinity.occupancy import most_in_one, most_in_one_of_rings

ARTICLE = dict.fromkeys(("10.0.0.1:8000", "10.0.0.2:8000", "10.0.0.3:8000"), 1)
SHARES = st.lists(st.integers(1, 50), min_size=1, max_size=6).map(
    lambda weights: [weight / sum(weights) for weight in weights]
)


def addresses(trial: int, count: int) -> dict[str, int]:
    """Servers of one fleet somewhere in 10.0.0.0/8, without a pattern."""
    digests = (hashlib.blake2b(f"{trial}/{index}".encode(), digest_size=3).digest() for index in range(count))
    return {f"10.{a}.{b}.{c}:8000": 1 for a, b, c in digests}


def simulated_peak(servers: dict[str, int], sessions: int, trial: int) -> int:
    ring = build_ring(servers)
    return max(Counter(map(ring.server_of, session_keys(sessions, trial))).values())


@pytest.mark.parametrize(
    ("replicas", "sessions", "peak", "published"),
    [(3, 100, 45, 1.35), (4, 250, 81, 1.30), (8, 250, 46, 1.50)],
)
def test_the_usual_peak_is_the_published_one_to_a_session(
    replicas: int, sessions: int, peak: int, published: float
) -> None:
    imbalance = usual_imbalance(replicas, sessions)
    assert imbalance.peak_sessions == peak
    assert imbalance.factor == pytest.approx(published, abs=replicas / sessions)


@pytest.mark.parametrize(("replicas", "sessions"), [(2, 50), (3, 100), (4, 250), (8, 250)])
def test_the_usual_peak_is_that_of_400_simulated_fleets_to_a_session(replicas: int, sessions: int) -> None:
    peaks = sorted(simulated_peak(addresses(trial, replicas), sessions, trial) for trial in range(400))
    assert usual_imbalance(replicas, sessions).peak_sessions == pytest.approx(peaks[379], abs=1)


def test_a_known_rings_peak_is_that_of_400_simulated_crowds_to_a_session() -> None:
    peaks = sorted(simulated_peak(ARTICLE, 250, trial) for trial in range(400))
    assert ring_imbalance(ARTICLE, 250).peak_sessions == pytest.approx(peaks[379], abs=1)


def test_with_many_sessions_only_the_rings_own_unevenness_is_left() -> None:
    imbalance = ring_imbalance(ARTICLE, 10_000_000)
    assert imbalance.ring_factor is not None
    assert round(imbalance.ring_factor, 2) == 1.12
    assert imbalance.factor == pytest.approx(imbalance.ring_factor, rel=1e-3)


@settings(deadline=None)
@given(SHARES, st.integers(1, 6))
def test_the_quantile_of_few_sessions_is_never_below_the_exact_one(
    shares: list[float], sessions: int
) -> None:
    """Exact by going through every way in which the sessions can fall."""
    chance_by_peak: defaultdict[int, float] = defaultdict(float)
    for places in itertools.product(range(len(shares)), repeat=sessions):
        peak = max(Counter(places).values(), default=0)
        chance_by_peak[peak] += math.prod(shares[place] for place in places)
    exact = next(
        peak
        for peak in range(sessions + 1)
        if sum(chance for other, chance in chance_by_peak.items() if other <= peak) >= 0.95 - 1e-12
    )
    assert exact <= most_in_one(sessions, shares) <= exact + 1


@given(st.integers(1, 60), st.integers(1, 3000))
def test_the_busiest_replica_has_at_least_the_mean_and_at_most_all(replicas: int, sessions: int) -> None:
    imbalance = usual_imbalance(replicas, sessions)
    assert -(-sessions // replicas) <= imbalance.peak_sessions <= sessions
    assert imbalance.factor >= 1


@given(st.integers(1, 60), st.integers(1, 3000))
def test_one_replica_more_never_makes_the_busiest_busier(replicas: int, sessions: int) -> None:
    assert (
        usual_imbalance(replicas + 1, sessions).peak_sessions
        <= usual_imbalance(replicas, sessions).peak_sessions
    )


@given(st.integers(2, 60), st.integers(1, 3000))
def test_a_stricter_quantile_never_asks_for_less(replicas: int, sessions: int) -> None:
    assert (
        usual_imbalance(replicas, sessions, 0.99).peak_sessions
        >= usual_imbalance(replicas, sessions, 0.9).peak_sessions
    )


@given(st.integers(2, 30), st.integers(1, 2000))
def test_random_rings_are_less_even_than_equal_shares(places: int, sessions: int) -> None:
    assert most_in_one_of_rings(sessions, places, 160) >= most_in_one(sessions, [1 / places] * places)


def test_one_replica_gets_every_session() -> None:
    assert usual_imbalance(1, 77).peak_sessions == ring_imbalance({"a:1": 1}, 77).peak_sessions == 77


@given(st.integers(1, 8), st.integers(1, 120), st.sampled_from([1.0, 1.05, 1.25, 2.0]), st.integers(0, 3))
def test_a_bound_holds_and_seats_every_session(
    replicas: int, sessions: int, load_factor: float, trial: int
) -> None:
    most = bound(replicas, sessions, load_factor)
    placement = place_bounded(build_ring(addresses(trial, replicas)), session_keys(sessions, trial), most)
    assert placement.sessions_by_server.total() == sessions
    assert max(placement.sessions_by_server.values()) <= most
    assert 0 <= placement.displaced < sessions


def test_a_bound_far_above_the_mean_moves_nobody() -> None:
    assert displaced_share(build_ring(ARTICLE), 100, 2.0) == 0


def test_a_tight_bound_moves_few_sessions_where_hashing_alone_needs_half_as_much_memory_again() -> None:
    servers = {f"10.0.0.{index}:8000": 1 for index in range(1, 9)}
    assert ring_imbalance(servers, 250).factor > 1.4
    assert bounded_imbalance(8, 250, 1.1).factor == pytest.approx(35 / 31.25)
    assert displaced_share(build_ring(servers), 250, 1.1) < 0.04


@pytest.mark.parametrize(
    ("replicas", "sessions", "load_factor", "most"), [(3, 100, 1.0, 34), (3, 300, 1.1, 110), (4, 3, 5.0, 3)]
)
def test_a_bound_is_the_factor_times_the_mean_rounded_up(
    replicas: int, sessions: int, load_factor: float, most: int
) -> None:
    assert bounded_imbalance(replicas, sessions, load_factor).peak_sessions == most


def test_a_bound_under_the_mean_is_refused() -> None:
    with pytest.raises(ValueError, match=r"load_factor: 0\.9 leaves sessions without a place"):
        bounded_imbalance(3, 100, 0.9)


def test_too_few_places_are_said_so() -> None:
    with pytest.raises(ValueError, match="2 sessions on each of 3 servers are too few"):
        place_bounded(build_ring(ARTICLE), session_keys(7), 2)
