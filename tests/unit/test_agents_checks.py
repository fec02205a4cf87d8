"""The checks on agents' sessions say no where they should: a turn on another replica, a cache that was not found."""

from __future__ import annotations

import pytest

from support.agents import Event, PrefixCache, read_prefix_cache, sessions_kept_their_cache

METRICS = """\
# TYPE vllm:prefix_cache_queries counter
vllm:prefix_cache_queries_total{engine="0",model_name="agent"} 5220.0
vllm:prefix_cache_queries_created{engine="0",model_name="agent"} 1.8e+09
vllm:prefix_cache_hits_total{engine="0",model_name="agent"} 3072.0
vllm:cache_config_info{_block_size_resolved="True",block_size="128",effective_attention_block_size="64"} 1.0
"""


def turn(number: int, prompt_tokens: int, replica: str = "agents-0") -> Event:
    return {"agent": "worker-1", "turn": number, "replica": replica, "prompt_tokens": prompt_tokens}


def caches(hits: int) -> dict[str, PrefixCache]:
    return {name: PrefixCache(9000, hits, 128) for name in ("agents-0", "agents-1")}


def test_the_engine_s_counters_are_read_from_its_metrics() -> None:
    assert read_prefix_cache(METRICS) == PrefixCache(5220, 3072, 128)


def test_a_session_that_found_its_earlier_turns_in_whole_blocks_is_well() -> None:
    turns = [turn(1, 300), turn(2, 400), turn(3, 500)]
    sessions_kept_their_cache(turns, caches(1000), caches(1000 + 256 + 384))
    with pytest.raises(AssertionError, match="found 639 tokens, where its sessions came again with 640"):
        sessions_kept_their_cache(turns, caches(1000), caches(1000 + 639))


def test_a_turn_that_a_kill_had_asked_twice_counts_once() -> None:
    turns = [turn(1, 300), turn(2, 400), turn(2, 400)]
    sessions_kept_their_cache(turns, caches(0), caches(256))


def test_a_turn_on_another_replica_is_a_fault_however_many_tokens_were_found() -> None:
    with pytest.raises(ValueError, match="too many values to unpack"):
        sessions_kept_their_cache([turn(1, 300), turn(2, 400, "agents-1")], caches(0), caches(5000))


def test_an_answer_that_no_replica_of_the_fleet_gave_is_a_fault() -> None:
    with pytest.raises(AssertionError, match="was answered by None"):
        sessions_kept_their_cache([{**turn(1, 300), "replica": None}], caches(0), caches(5000))
