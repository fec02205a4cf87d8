"""What a session takes of the store: the fits against what was measured, and what follows for memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.spec import Durability, Saver
from infra.store import (
    LEAST_MAXMEMORY_BYTES,
    SessionState,
    machine_bytes,
    maxmemory_bytes,
    session_bytes,
    sessions_retained,
    usual_checkpoints,
    usual_messages,
)

MEASURED_MB = {
    (8, 4): (0.11, 0.03, 0.11, 0.06),
    (8, 20): (1.02, 0.22, 1.14, 0.21),
    (32, 4): (0.30, 0.08, 0.18, 0.12),
    (32, 8): (0.63, 0.14, 0.33, 0.16),
    (32, 20): (1.90, 0.42, 1.20, 0.26),
    (32, 40): (5.04, 1.04, 3.97, 0.45),
    (128, 20): (5.49, 1.16, 1.44, 0.51),
    (128, 40): (12.1, 2.47, 4.22, 0.68),
}
"""KB of text and calls of the model, to MB for each of WAYS: redis-server 7.0.15, November 2026."""

WAYS = (
    (Saver.VALKEY, Durability.ASYNC),
    (Saver.VALKEY, Durability.EXIT),
    (Saver.REDIS, Durability.ASYNC),
    (Saver.SHALLOW, Durability.ASYNC),
)


def size(text_kb: int, calls: int, saver: Saver, durability: Durability) -> int:
    checkpoints = usual_checkpoints(calls, durability)
    return session_bytes(SessionState(text_kb * 1000, usual_messages(calls), checkpoints), saver, durability)


@pytest.mark.parametrize("way", range(4), ids=lambda way: "-".join(WAYS[way]))
def test_the_fits_are_as_near_to_the_measurements_as_they_say(way: int) -> None:
    """The table is rounded and its sizes of text are nominal, so it allows more than the errors of the fits."""
    for (text_kb, calls), measured_mb in MEASURED_MB.items():
        planned_mb = size(text_kb, calls, *WAYS[way]) / 1e6
        assert planned_mb == pytest.approx(measured_mb[way], rel=0.08, abs=0.005), (text_kb, calls)


def test_one_turn_with_many_tool_calls_takes_less_than_the_fit_says() -> None:
    planned = session_bytes(SessionState(34_000, 40, 41), Saver.VALKEY, Durability.ASYNC)
    assert 1_410_000 < planned < 1.17 * 1_410_000


@given(st.integers(1, 500), st.integers(1, 200), st.sampled_from(WAYS))
def test_more_text_and_more_calls_never_take_less(
    text_kb: int, calls: int, way: tuple[Saver, Durability]
) -> None:
    one = size(text_kb, calls, *way)
    assert size(text_kb + 1, calls, *way) >= one
    assert size(text_kb, calls + 1, *way) >= one


@pytest.mark.parametrize(
    ("calls", "durability", "expected"),
    [
        (8, Durability.ASYNC, 20),
        (8, Durability.SYNC, 20),
        (8, Durability.EXIT, 4),
        (1, Durability.EXIT, 1),
        (1, Durability.ASYNC, 3),
    ],
)
def test_checkpoints_follow_the_durability(calls: int, durability: Durability, expected: int) -> None:
    assert usual_checkpoints(calls, durability) == expected


@pytest.mark.parametrize(
    ("per_hour", "ttl_s", "at_once", "expected"),
    [
        (80, 86_400, 80, 1920),
        (100, 3600, 100, 100),
        (1, 60, 80, 80),  # a session that is open is kept, however soon a silent one goes
        (7, 1000, 1, 2),
    ],
)
def test_what_is_kept_is_what_began_within_the_ttl(
    per_hour: int, ttl_s: int, at_once: int, expected: int
) -> None:
    assert sessions_retained(per_hour, ttl_s, at_once) == expected


def test_a_fifth_of_the_store_stays_free_and_its_machine_has_room_for_a_snapshot() -> None:
    limit = maxmemory_bytes(1000, 1_900_000)
    assert limit * 0.8 == pytest.approx(1.9e9, rel=0.001)
    assert limit % 2**20 == 0
    assert 4.0e9 < machine_bytes(limit) < 6.0e9


def test_a_small_store_has_room_for_its_own_buffers() -> None:
    assert maxmemory_bytes(1, 1000) == LEAST_MAXMEMORY_BYTES
