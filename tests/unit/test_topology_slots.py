"""Slots of every topology, and what pools of one role seat."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.spec.kinds import Role, Topology
from infra.topology import pool_slots, stage_slots, topology_slots

AGENTS = st.integers(1, 100)
WORKFLOWS = st.integers(1, 5000)


@pytest.mark.parametrize(
    ("topology", "agents", "workflows", "slots"),
    [
        (Topology.FLAT, 5, 1, {Role.AGENT: 5}),
        (Topology.FLAT, 1, 100, {Role.AGENT: 100}),
        (Topology.FLAT, 5, 100, {Role.AGENT: 500}),
        (Topology.HIERARCHICAL, 20, 1, {Role.ORCHESTRATOR: 1, Role.WORKER: 20}),
        (Topology.HIERARCHICAL, 5, 100, {Role.ORCHESTRATOR: 100, Role.WORKER: 500}),
        (Topology.PIPELINE, 5, 100, {Role.STAGE: 100}),
    ],
)
def test_slots_follow_from_the_topology(
    topology: Topology, agents: int, workflows: int, slots: dict[Role, int]
) -> None:
    assert {item.role: item.sessions for item in topology_slots(topology, agents, workflows)} == slots


@given(st.sampled_from(Topology), AGENTS, WORKFLOWS)
def test_slots_grow_with_the_workflows_and_in_proportion(
    topology: Topology, agents: int, workflows: int
) -> None:
    one = topology_slots(topology, agents, 1)
    many = topology_slots(topology, agents, workflows)
    assert [item.sessions for item in many] == [workflows * item.sessions for item in one]


@given(AGENTS, WORKFLOWS)
def test_an_orchestrator_costs_one_slot_for_each_workflow(agents: int, workflows: int) -> None:
    flat = sum(item.sessions for item in topology_slots(Topology.FLAT, agents, workflows))
    hierarchical = sum(item.sessions for item in topology_slots(Topology.HIERARCHICAL, agents, workflows))
    assert hierarchical == flat + workflows


@given(AGENTS, AGENTS, WORKFLOWS)
def test_a_pipeline_does_not_grow_with_its_stages(stages: int, others: int, workflows: int) -> None:
    assert [item.sessions for item in topology_slots(Topology.PIPELINE, stages, workflows)] == [
        item.sessions for item in topology_slots(Topology.PIPELINE, others, workflows)
    ]


@given(st.sampled_from(Topology), AGENTS, WORKFLOWS, st.integers(1, 8))
def test_the_pools_of_a_role_seat_all_its_sessions_and_none_more_than_all(
    topology: Topology, agents: int, workflows: int, pools: int
) -> None:
    for slots in topology_slots(topology, agents, workflows):
        each = pool_slots(slots, pools)
        assert slots.sessions / pools <= each <= slots.sessions


def test_pools_of_agents_share_evenly_while_stages_crowd_by_chance() -> None:
    (agents,) = topology_slots(Topology.FLAT, 5, 100)
    (stages,) = topology_slots(Topology.PIPELINE, 5, 100)
    assert pool_slots(agents, 5) == 100
    assert pool_slots(stages, 5) == 30  # 20 on average
    assert pool_slots(stages, 1) == 100


def test_a_slow_stage_holds_most_of_the_workflows() -> None:
    assert stage_slots(100, [0.6, 0.1, 0.1, 0.1, 0.1]) == 68
    assert stage_slots(100, [1.0, 0.0, 0.0]) == 100
