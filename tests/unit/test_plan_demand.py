"""Sessions by topology: flat and hierarchical run their agents at once, a pipeline one stage per workflow."""

from __future__ import annotations

import pytest
from plan_specs import LAB, spec

from infra.plan.demand import plan_demand, stage_of


def pools(*roles: str) -> dict[str, dict[str, object]]:
    return {f"p{i}": {"model": "agent", "role": role, "port": 8000 + 100 * i} for i, role in enumerate(roles)}


@pytest.mark.parametrize(
    ("topology", "agents", "workflows", "roles", "sessions"),
    [
        ("flat", 5, 100, ["agent"], [500]),
        ("flat", 1, 1, ["agent"], [1]),
        ("flat", 5, 1, ["agent", "agent"], [3, 3]),
        ("hierarchical", 20, 10, ["orchestrator", "worker"], [10, 200]),
        ("hierarchical", 20, 10, ["worker", "orchestrator", "worker"], [100, 10, 100]),
        ("pipeline", 5, 100, ["stage"], [100]),
        ("pipeline", 5, 100, ["stage", "stage", "stage"], [44, 44, 44]),
    ],
)
def test_sessions_follow_from_the_topology(
    topology: str, agents: int, workflows: int, roles: list[str], sessions: list[int]
) -> None:
    workload = {"topology": topology, "agents": agents, "workflows": workflows, "context_tokens": 2048}
    demand = plan_demand(
        spec(LAB, workload=workload, pools=pools(*roles), nodes={"source": "lab", "lab": {"count": 3}})
    )
    assert [item.sessions for item in demand] == sessions


def test_the_formula_says_how_the_sessions_came_about() -> None:
    workload = {"topology": "hierarchical", "agents": 20, "workflows": 10, "context_tokens": 2048}
    made = spec(
        LAB,
        workload=workload,
        pools=pools("orchestrator", "worker"),
        nodes={"source": "lab", "lab": {"count": 2}},
    )
    assert [item.formula for item in plan_demand(made)] == [
        "10 workflows x 1 orchestrator",
        "10 workflows x 20 workers",
    ]


@pytest.mark.parametrize(
    ("topology", "agents", "workflows", "roles", "sessions"),
    [
        ("flat", 5, 20, ["agent", "long"], [98, 9]),
        ("flat", 5, 20, ["agent", "agent", "long"], [50, 50, 9]),
        ("flat", 5, 20, ["agent", "long", "long"], [98, 5, 5]),
        ("hierarchical", 4, 20, ["orchestrator", "worker", "long"], [20, 79, 9]),
        ("pipeline", 3, 100, ["stage", "long"], [98, 9]),
        ("pipeline", 3, 100, ["stage", "stage", "stage", "long"], [42, 42, 42, 9]),
    ],
)
def test_long_sessions_of_every_role_are_seated_apart(
    topology: str, agents: int, workflows: int, roles: list[str], sessions: list[int]
) -> None:
    workload = {
        "topology": topology,
        "agents": agents,
        "workflows": workflows,
        "context_tokens": 2048,
        "tool_calls": {"count": 2, "tokens": 500},
        "long_sessions": {"share": 0.05, "context_tokens": 16_384},
    }
    demand = plan_demand(
        spec(LAB, workload=workload, pools=pools(*roles), nodes={"source": "lab", "lab": {"count": 4}})
    )
    assert [item.sessions for item in demand] == sessions
    assert {item.role: item.context_tokens for item in demand} == {
        **dict.fromkeys(roles, 3048),
        "long": 16_384,
    }
    assert demand[-1].formula.startswith("100 sessions x 0.05 that get long")
    assert " x 0.95 that stay short, the " in demand[0].formula


@pytest.mark.parametrize(("sessions", "stage"), [(1, 1), (50, 1), (51, 2), (250, 2), (251, 3), (10_000, 3)])
def test_the_stage_follows_from_the_sessions(sessions: int, stage: int) -> None:
    assert stage_of(sessions) == stage
