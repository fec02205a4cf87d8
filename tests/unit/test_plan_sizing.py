"""Slots, sequences, replicas and tensor parallelism of one pool on one kind of device."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.affinity import Spread
from infra.catalog.devices import device_named
from infra.catalog.models import model_named
from infra.memory import EngineSettings, MemoryBudget, size_replica
from infra.plan.sizing import (
    MOST_SEQUENCES,
    Request,
    headroom,
    missing_bytes,
    shapes,
    tensor_parallel_sizes,
)
from infra.topology import whole_sessions

H100 = device_named("H100-SXM")
QWEN = model_named("Qwen/Qwen3-8B")
TINY = model_named("tiny-llama")


def request(sessions: int, context: int = 8192, model: object = QWEN, **other: object) -> Request:
    base = Request(
        "agents",
        QWEN,
        sessions,
        EngineSettings(max_model_len=context, gpu_memory_utilization=0.9),
        None,
        None,
        None,
    )
    return dataclasses.replace(base, model=model, **other)  # type: ignore[arg-type]


def budget(max_concurrency: float) -> MemoryBudget:
    tiny = size_replica(
        TINY, device_named("cpu-lab"), EngineSettings(max_model_len=128, kv_cache_memory_bytes=1 << 20)
    )
    return dataclasses.replace(tiny, max_concurrency=max_concurrency)


@pytest.mark.parametrize(
    ("max_concurrency", "slots"),
    [(0.0, 0), (0.5, 0), (1.0, 0), (1.01, 1), (31.97, 31), (32.0, 31), (32.03, 32)],
)
def test_the_block_that_vllm_keeps_costs_a_slot_where_the_rest_was_whole(
    max_concurrency: float, slots: int
) -> None:
    assert whole_sessions(budget(max_concurrency).max_concurrency) == slots


@pytest.mark.parametrize(
    ("peak", "sequences"),
    [(1, 2), (2, 3), (20, 30), (21, 32), (600, 900), (700, 1024), (1024, 1024), (2000, 2000)],
)
def test_sequences_are_half_as_many_again_as_the_peak_and_at_most_1024(peak: int, sequences: int) -> None:
    assert headroom(peak) == sequences


@given(st.integers(1, 100_000))
def test_sequences_are_never_fewer_than_the_peak_nor_more_than_twice_it(peak: int) -> None:
    assert peak <= headroom(peak) <= 2 * peak


@pytest.mark.parametrize(
    ("devices", "sizes"), [(1, [1]), (2, [1, 2]), (3, [1, 2]), (8, [1, 2, 4, 8]), (16, [1, 2, 4, 8, 16])]
)
def test_tensor_parallel_sizes_are_powers_of_two_within_a_node(devices: int, sizes: list[int]) -> None:
    assert tensor_parallel_sizes(request(1), devices) == sizes


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5000), st.sampled_from([1024, 4096, 8192, 32768]))
def test_the_fewest_replicas_seat_every_session(sessions: int, context: int) -> None:
    shape = shapes(request(sessions, context), H100, 1)[0]
    assert shape.slots * shape.replicas >= sessions
    assert shape.slots <= shape.max_num_seqs <= MOST_SEQUENCES
    if shape.replicas > 1:
        fewer = shapes(request(sessions, context, replicas=shape.replicas - 1), H100, 1)[0]
        assert fewer.slots < fewer.peak_sessions


@settings(max_examples=30, deadline=None)
@given(st.integers(128, 20_000), st.integers(1, 20_000))
def test_more_context_never_gives_more_slots(context: int, more: int) -> None:
    def slots(tokens: int) -> int:
        fixed = request(1, tokens, max_num_seqs=MOST_SEQUENCES)
        return max((shape.slots for shape in shapes(fixed, H100, 1)), default=0)

    assert slots(context + more) <= slots(context)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3000), st.sampled_from([4096, 32768]), st.sampled_from([1.0, 1.25, None]))
def test_behind_a_gateway_the_fewest_replicas_seat_the_busiest(
    sessions: int, context: int, load_factor: float | None
) -> None:
    wanted = request(sessions, context, spread=Spread(hashed=True, load_factor=load_factor))
    shape = shapes(wanted, H100, 1)[0]
    assert shape.seats_all
    assert shape.peak_sessions == wanted.spread.peak_sessions(shape.replicas, sessions)
    assert shape.replicas >= shapes(request(sessions, context), H100, 1)[0].replicas
    if shape.replicas > 1:
        fewer = dataclasses.replace(wanted, replicas=shape.replicas - 1)
        assert not shapes(fewer, H100, 1)[0].seats_all


def test_hashing_without_a_bound_cannot_seat_sessions_that_fill_a_replica_each() -> None:
    settings_of_one = dataclasses.replace(request(1).settings, kv_cache_memory_bytes=2 << 30)
    wanted = request(20, spread=Spread(hashed=True), settings=settings_of_one)
    assert shapes(wanted, H100, 1) == []
    assert missing_bytes(wanted, H100, 1) == (1, 0)
    bounded = shapes(dataclasses.replace(wanted, spread=Spread(hashed=True, load_factor=1.25)), H100, 1)
    assert (bounded[0].slots, bounded[0].replicas) == (1, 25)


def test_the_shape_with_the_fewest_gpus_comes_first() -> None:
    found = shapes(request(50, 8192, model_named("meta-llama/Meta-Llama-3.1-70B")), H100, 8)
    assert [shape.gpus for shape in found] == sorted(shape.gpus for shape in found)
    assert found[0].tensor_parallel_size > 1


def test_a_model_that_fits_nowhere_has_no_shape_and_a_number_of_bytes_missing() -> None:
    wanted = request(1, 8192, model_named("meta-llama/Meta-Llama-3.1-405B"))
    assert shapes(wanted, H100, 8) == []
    size, missing = missing_bytes(wanted, H100, 8)
    assert size == 8
    assert missing > 10 << 30


def test_a_wish_beyond_all_measure_is_answered_all_the_same() -> None:
    found = shapes(request(10_000_000_000), H100, 8)
    assert found[0].slots * found[0].replicas >= 10_000_000_000


def test_sampler_memory_of_a_large_peak_does_not_hide_that_small_ones_fit() -> None:
    tight = request(2000, 1024, model_named("Qwen/Qwen3-8B"))
    found = shapes(
        dataclasses.replace(tight, settings=dataclasses.replace(tight.settings, quantization="fp8")),
        device_named("T4"),
        1,
    )
    assert found[0].slots >= found[0].peak_sessions
