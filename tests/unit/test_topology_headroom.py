"""What is left free: the interval of the memory model, not a share of the GPU's memory."""

from __future__ import annotations

import dataclasses

import pytest

from infra.catalog.devices import device_named
from infra.catalog.models import model_named
from infra.memory import EngineSettings, Interval, MemoryBudget, size_replica
from infra.topology import Confidence, Seats, seats_within, whole_sessions


@pytest.fixture(scope="module")
def budget() -> MemoryBudget:
    settings = EngineSettings(max_model_len=8192, gpu_memory_utilization=0.9, kv_cache_dtype="fp8")
    return size_replica(model_named("Qwen/Qwen3-8B"), device_named("H100-SXM"), settings)


def test_seats_follow_the_interval(budget: MemoryBudget) -> None:
    whole = dataclasses.replace(
        budget,
        kv_cache_bytes=1000,
        max_concurrency=100.0,
        interval=Interval(low_bytes=955, high_bytes=1041),
    )
    assert seats_within(whole) == Seats(low=95, planned=99, high=104)


def test_a_real_budget_is_planned_between_its_ends(budget: MemoryBudget) -> None:
    seats = seats_within(budget)
    assert 0 < seats.low <= seats.planned <= seats.high
    assert seats.planned < budget.max_concurrency <= seats.planned + 1


def test_a_cache_that_was_given_leaves_no_doubt() -> None:
    settings = EngineSettings(max_model_len=2048, kv_cache_memory_bytes=64 << 20)
    seats = seats_within(size_replica(model_named("tiny-llama"), device_named("cpu-lab"), settings))
    assert seats.low == seats.planned == seats.high


def test_no_cache_has_no_seats(budget: MemoryBudget) -> None:
    assert seats_within(dataclasses.replace(budget, kv_cache_bytes=0)) == Seats(0, 0, 0)


@pytest.mark.parametrize(
    ("peak", "confidence"),
    [
        (1, Confidence.SURE),
        (95, Confidence.SURE),
        (96, Confidence.LIKELY),
        (100, Confidence.LIKELY),
        (101, Confidence.UNLIKELY),
        (104, Confidence.UNLIKELY),
        (105, Confidence.NO),
    ],
)
def test_a_peak_is_as_sure_as_the_part_of_the_interval_that_seats_it(
    peak: int, confidence: Confidence
) -> None:
    assert Seats(low=95, planned=100, high=104).confidence(peak) is confidence


@pytest.mark.parametrize(
    ("concurrency", "sessions"), [(0.0, 0), (0.4, 0), (1.0, 0), (31.97, 31), (32.0, 31), (32.03, 32)]
)
def test_one_block_is_vllms_own(concurrency: float, sessions: int) -> None:
    assert whole_sessions(concurrency) == sessions
