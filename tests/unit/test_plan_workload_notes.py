"""What the workload does to the plan is said: growth, the price of a strategy, prefixes, spread and sureness."""

from __future__ import annotations

import pytest
from plan_specs import LAB, flag, host, notes, plan, rented

from infra.plan import FleetPlan

WINDOW_PRICE = "1048 tokens computed again, 1000 tokens of which nothing remains"
SUMMARY_PRICE = "1 extra call, 500 tokens computed again, 4500 tokens of which nothing remains"
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
                f"context_strategy: sliding_window costs each session {WINDOW_PRICE}",
            ],
        ),
        (
            {"tool_calls": {"count": 12, "tokens": 500}, "context_strategy": "summarise"},
            "6524",
            [
                "tool_calls: 12 calls x 500 tokens grow a session to 7024 tokens, held at 6524",
                f"context_strategy: summarise costs each session {SUMMARY_PRICE}",
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


def test_a_shared_prefix_is_a_bonus_and_changes_no_seat() -> None:
    with_prefix, without = lab(shared_prefix_tokens=512), lab()
    assert [r.slots for r in with_prefix.replicas] == [r.slots for r in without.replicas]
    assert any(
        "saves up to" in text and "no seat is planned on it" in text for text in notes(with_prefix, "info")
    )


def test_the_busiest_replica_behind_hashing_is_told() -> None:
    planned = rented(
        host("gpu-1", devices=1),
        host("gpu-2", devices=1),
        pools={"agents": {"model": "agent", "role": "agent", "replicas": 2}},
    )
    said = [
        text for text in (*notes(planned, "info"), *notes(planned, "warning")) if "hashed by session" in text
    ]
    assert len(said) == 1
    assert "the busiest of 2 replicas gets up to" in said[0]
