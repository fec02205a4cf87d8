"""What the workload does to the plan is said: growth, the price of a strategy, prefixes, spread and sureness."""

from __future__ import annotations

from typing import Any

import pytest
from plan_specs import LAB, RENTED, flag, host, notes, plan, rented

from infra.errors import PlanError
from infra.plan import FleetPlan

WINDOW_PRICE = "costs it 1048 tokens computed again, 1000 tokens of which nothing remains"
SUMMARY_PRICE = "costs it 1 extra call, 500 tokens computed again, 4500 tokens of which nothing remains"
FLAT = {"topology": "flat", "agents": 5, "workflows": 4, "context_tokens": 1024}


def lab(**workload: object) -> FleetPlan:
    return plan(LAB, workload={**FLAT, **workload})


@pytest.mark.parametrize(
    ("workload", "max_model_len", "said"),
    [
        ({}, "1024", []),
        (
            {"tool_calls": {"count": 2, "tokens": 500}},
            "2024",
            ["tool_calls: 2 calls x 500 tokens grow a session to 2024 tokens"],
        ),
        (
            {"tool_calls": {"count": 2, "tokens": 500}, "context_strategy": "sliding_window"},
            "1024",
            [
                "tool_calls: 2 calls x 500 tokens grow a session to 2024 tokens, held at 1024",
                f"context_strategy: sliding_window saves 49% of a session's KV cache and {WINDOW_PRICE}",
            ],
        ),
        (
            {"tool_calls": {"count": 12, "tokens": 500}, "context_strategy": "summarise"},
            "6524",
            [
                "tool_calls: 12 calls x 500 tokens grow a session to 7024 tokens, held at 6524",
                f"context_strategy: summarise saves 7% of a session's KV cache and {SUMMARY_PRICE}",
            ],
        ),
    ],
)
def test_contexts_grow_by_tool_calls_and_strategies_have_a_price(
    workload: dict[str, object], max_model_len: str, said: list[str]
) -> None:
    planned = plan(
        LAB,
        workload={**FLAT, "agents": 1, "workflows": 1, **workload},
        nodes={"source": "lab", "lab": {"count": 1, "kv_cache_memory": "64MiB"}},
    )
    assert flag(planned, "--max-model-len") == max_model_len
    assert [text for text in notes(planned, "info") if text.startswith("workload.")] == [
        f"workload.{text}" for text in said
    ]


@pytest.mark.parametrize(
    ("workload", "said"),
    [
        (
            {"context_strategy": "sliding_window", "window_tokens": 4096},
            "workload.context_strategy: sliding_window changes nothing: no session grows beyond 1024 tokens",
        ),
        (
            {"context_strategy": "summarise", "tool_calls": {"count": 2, "tokens": 500}},
            "workload.context_strategy: summarise changes nothing: no session grows beyond 2024 tokens",
        ),
        (
            {
                "context_strategy": "summarise",
                "tool_calls": {"count": 4, "tokens": 500},
                "checkpoint_tokens": 2000,
            },
            "workload.context_strategy: summarise saves no KV cache at the peak and costs it 1 extra call",
        ),
    ],
)
def test_a_strategy_that_saves_nothing_is_warned_of(workload: dict[str, object], said: str) -> None:
    planned = lab(**{"agents": 1, "workflows": 1, **workload})
    assert any(text.startswith(said) for text in notes(planned, "warning"))


LONG = {"share": 0.05, "context_tokens": 32_768}
LONG_POOLS = {
    "agents": {"model": "agent", "role": "agent"},
    "long": {"model": "agent", "role": "long", "port": 8100},
}


def with_long_sessions(*hosts: dict[str, Any], **long: Any) -> FleetPlan:
    return rented(
        *hosts,
        workload={**RENTED["workload"], "long_sessions": LONG},
        pools={
            "agents": {**LONG_POOLS["agents"], "nodes": ["gpu-1"]},
            "long": {**LONG_POOLS["long"], **long},
        },
    )


def test_long_sessions_have_a_pool_of_their_own_on_other_devices() -> None:
    planned = with_long_sessions(
        host("gpu-1"), host("gpu-2", device="H200"), nodes=["gpu-2"], tensor_parallel_size=1
    )
    short, long = planned.pools
    assert (short.device, short.sessions, short.context_tokens) == ("H100-SXM", 98, 8192)
    assert (long.device, long.role, long.sessions, long.context_tokens) == ("H200", "long", 9, 32_768)
    assert planned.stage == 2  # by the 100 sessions that there are, not by the 107 seats
    assert planned.endpoint == short.endpoints[0]
    by_pool = {replica.pool: index for index, replica in enumerate(planned.replicas)}
    assert flag(planned, "--max-model-len", by_pool["agents"]) == "8192"
    assert flag(planned, "--max-model-len", by_pool["long"]) == "32768"
    [said] = [text for text in notes(planned, "info") if text.startswith("workload.")]
    assert said == (
        "workload.long_sessions: up to 9 sessions at once outgrow 8192 tokens and move to the pools with the role "
        "long, where those tokens are computed once more; all pools together hold 1097728 tokens at full context "
        "instead of 3276800"
    )


def test_what_is_too_long_for_the_long_pool_is_named_by_its_own_key() -> None:
    with pytest.raises(PlanError, match=r"pools.long: .* lower workload.long_sessions.context_tokens"):
        with_long_sessions(host("gpu-1"), host("gpu-2", device="L4", devices=1), nodes=["gpu-2"])


def test_a_shared_prefix_is_a_bonus_and_changes_no_seat() -> None:
    with_prefix, without = lab(shared_prefix_tokens=512), lab()
    assert [r.slots for r in with_prefix.replicas] == [r.slots for r in without.replicas]
    assert any(
        "saves up to" in text and "no seat is planned on it" in text for text in notes(with_prefix, "info")
    )


@pytest.mark.parametrize(
    ("gateway", "said"),
    [
        ({"kind": "none"}, "if a gateway hashed by session, the busiest of 2 replicas gets up to 38 of 60"),
        (
            {"kind": "nginx"},
            "hashed by session, held to 1.25 times the mean, the busiest of 2 replicas gets up to",
        ),
        ({"kind": "nginx", "load_factor": None}, "hashed by session, the busiest of 2 replicas gets up to"),
    ],
)
def test_the_busiest_replica_behind_hashing_is_told(gateway: dict[str, Any], said: str) -> None:
    planned = rented(
        host("gpu-1", devices=1),
        host("gpu-2", devices=1),
        workload={**RENTED["workload"], "workflows": 12},
        pools={"agents": {"model": "agent", "role": "agent", "replicas": 2}},
        gateway=gateway,
    )
    [told] = [text for text in notes(planned, "info") if "hashed by session" in text]
    assert told.startswith(f"pools.agents: {said}")


def test_a_replica_that_hashing_overloads_is_warned_of_where_the_replicas_are_fixed() -> None:
    planned = rented(
        host("gpu-1", devices=1),
        host("gpu-2", devices=1),
        workload={**RENTED["workload"], "workflows": 16},
        pools={"agents": {"model": "agent", "role": "agent", "replicas": 2}},
        gateway={"kind": "nginx", "load_factor": None},
    )
    slots = planned.replicas[0].slots
    assert 2 * slots >= 80  # there is a seat for each, if not where the hash puts it
    assert not notes(planned, "shortfall")
    assert any(f"more than its {slots} slots" in text for text in notes(planned, "warning"))
