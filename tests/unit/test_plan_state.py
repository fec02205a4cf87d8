"""The state store in the plan: its node, its size, its rights, and what the operator is told."""

from __future__ import annotations

from typing import Any

import pytest
from plan_specs import LAB, host, notes, plan, rented

from infra.plan import FleetPlan
from infra.plan.authority import CA_SECRET
from infra.plan.guards import guards_on
from infra.plan.needs import machine_needs
from infra.plan.state import StatePlan

TWO = {"source": "lab", "lab": {"count": 2, "kv_cache_memory": "64MiB"}}
ENGINES = {"agents": {"model": "agent", "role": "agent", "nodes": ["gpu-1"]}}
STORE = {"name": "store", "address": "203.0.113.9", "device": "cpu", "devices": 1}


def stored(**state: Any) -> tuple[FleetPlan, StatePlan]:
    """A lab fleet of 20 sessions with a store."""
    made = plan(LAB, nodes=TWO, pools={"agents": {"model": "agent", "role": "agent", "nodes": ["node-1"]}},
                state={"kind": "redis", **state})  # fmt: skip
    assert made.state
    return made, made.state


def test_a_fleet_without_a_store_plans_none() -> None:
    assert plan(LAB).state is None


def test_the_store_stands_where_no_replica_is() -> None:
    made, state = stored()
    assert state.node == "node-2"
    assert made.services_beside("node-2") == ("state",)
    assert [item.reason for item in state.decisions if item.name == "node"] == [
        "the first node that carries no replica"
    ]


def test_its_size_follows_from_the_workload() -> None:
    """20 sessions an hour, each kept for a day; 2048 tokens of 4 bytes, 8 calls, 16 messages, 20 checkpoints."""
    _, state = stored()
    text = 2048 * 4
    assert state.session_bytes == round(0.74 * 20 * text + 280 * 20 * 16 + 2900 * 16 + 0.64 * text)
    assert state.sessions == 480
    assert state.maxmemory_bytes == pytest.approx(480 * state.session_bytes / 0.8, abs=2**20)
    assert state.machine_bytes == round(state.maxmemory_bytes * 1.8)


@pytest.mark.parametrize(
    ("state", "bytes_of_one"),
    [
        ({"text": "1MiB", "llm_calls": 2}, 0.74 * 5 * 2**20 + 280 * 5 * 4 + 2900 * 4 + 0.64 * 2**20),
        ({"messages": 100, "checkpoints": 10}, 0.74 * 10 * 8192 + 280 * 10 * 100 + 2900 * 100 + 0.64 * 8192),
        ({"durability": "exit"}, 0.73 * 4 * 8192 + 284 * 4 * 16 + 670 * 16 + 0.73 * 8192),
        ({"saver": "shallow"}, 4600 * 16 + 2.6 * 8192),
    ],
)
def test_what_the_spec_says_of_a_session_is_taken(state: dict[str, Any], bytes_of_one: float) -> None:
    assert stored(**state)[1].session_bytes == round(bytes_of_one)


def test_text_that_the_model_no_longer_sees_is_kept_all_the_same() -> None:
    workload = {**LAB["workload"], "tool_calls": {"count": 10, "tokens": 500}}
    parts: dict[str, Any] = {"nodes": {"source": "lab", "lab": {"count": 4}}, "state": {"kind": "redis"}}
    capped = plan(LAB, workload=workload, **parts)
    sliding = plan(LAB, workload={**workload, "context_strategy": "sliding_window"}, **parts)
    assert capped.state
    assert sliding.state
    assert capped.state.session_bytes == sliding.state.session_bytes


def test_long_sessions_count_by_their_share() -> None:
    workload = {**LAB["workload"], "long_sessions": {"share": 0.1, "context_tokens": 4096}}
    pools = {role: {"model": "agent", "role": role, "nodes": ["node-1"], "port": 8000 + index * 100}
             for index, role in enumerate(("agent", "long"))}  # fmt: skip
    mixed = plan(LAB, workload=workload, pools=pools, nodes=TWO, state={"kind": "redis"}).state
    assert mixed
    short, long = stored(text="8KiB")[1].session_bytes, stored(text="16KiB")[1].session_bytes
    assert mixed.session_bytes == round(0.9 * short + 0.1 * long)


def test_a_store_that_is_too_small_is_told() -> None:
    made, state = stored(maxmemory="64MiB")
    assert state.maxmemory_bytes == 64 * 2**20
    assert notes(made, "shortfall") == [
        "state.maxmemory: 480 sessions of 256.33 KiB need 151.00 MiB: a full store refuses to keep more"
    ]


@pytest.mark.parametrize(
    ("state", "note"),
    [
        ({"tls": False}, "warning state.tls: passwords and conversations cross the network in the clear"),
        ({"saver": "redis"}, "warning state.durability: with the saver redis a resumed workflow runs finished tasks"),
        ({"saver": "shallow"}, "warning state.saver: needs the modules JSON and Search, which no distribution ships"),
        ({}, "info state.sessions_per_hour: assumed: 20, as if a session lasted an hour; give your own number"),
    ],
)  # fmt: skip
def test_what_the_operator_should_know_is_a_note(state: dict[str, Any], note: str) -> None:
    severity, _, text = note.partition(" ")
    assert [told for told in notes(stored(**state)[0], severity) if told.startswith(text)]


def test_a_number_that_the_operator_gave_is_not_called_assumed() -> None:
    assert not [text for text in notes(stored(sessions_per_hour=5)[0], "info") if "assumed" in text]


def test_the_machine_must_have_the_memory_and_the_address() -> None:
    made = rented(host("gpu-1"), STORE, pools=ENGINES, state={"kind": "redis", "node": "store"})
    assert made.state
    needs = machine_needs(made, next(node for node in made.nodes if node.name == "store"))
    assert needs == {"listen_address": "203.0.113.9", "memory_bytes": made.state.machine_bytes}


def test_a_store_beside_gpus_adds_to_what_their_machine_must_have() -> None:
    made = rented(host("gpu-1"), state={"kind": "redis"})
    assert made.state
    assert machine_needs(made, made.nodes[0])["memory_bytes"] == made.state.machine_bytes


def test_the_port_is_open_for_clients_and_for_the_gateway() -> None:
    made = rented(
        host("gpu-1"),
        STORE,
        pools=ENGINES,
        state={"kind": "redis", "node": "store"},
        gateway={"kind": "nginx", "node": "gpu-1"},
    )
    store = next(node for node in made.nodes if node.name == "store")
    [guard] = [guard for guard in guards_on(made, store) if guard.ports]
    assert (guard.name, guard.ports) == ("state", (6379,))
    assert guard.clients == ("198.51.100.0/24", "203.0.113.49")


def test_three_servers_with_sentinels_see_each_other() -> None:
    nodes = {"source": "lab", "lab": {"count": 4}}
    made = plan(LAB, nodes=nodes, pools={"agents": {"model": "agent", "role": "agent", "nodes": ["node-1"]}},
                state={"kind": "redis", "ha": "sentinel", "nodes": ["node-3", "node-2", "node-4"]})  # fmt: skip
    assert made.state
    assert made.state.node == "node-3"
    assert made.state.sentinel_port == 26379
    for node in made.nodes[1:]:
        assert [guard.ports for guard in guards_on(made, node) if guard.name == "state"] == [(6379, 26379)]


def test_every_secret_that_nobody_chooses_is_named() -> None:
    assert stored()[1].generated_secrets == (
        "stateAgentPassword",
        "stateExporterPassword",
        "stateBackupPassword",
        "stateAdminPassword",
        CA_SECRET,
    )
    assert CA_SECRET not in stored(tls=False)[1].generated_secrets
