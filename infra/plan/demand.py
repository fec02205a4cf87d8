"""Sessions by pool: how many conversations a topology keeps alive at once.

Flat and hierarchical workflows run all their agents in parallel; a pipeline has one active agent per workflow, which
is why its demand does not grow with its stages (the sizing article of March 2026, "topologies and their footprints").
"""

from __future__ import annotations

from infra.plan.fleet_plan import Demand
from infra.plan.text import count_text
from infra.spec import FleetSpec
from infra.spec.kinds import Role
from infra.spec.workload import Workload
from infra.topology import ContextEffect, Session, context_effect, pool_slots, topology_slots

_STAGES = ((50, 1), (250, 2))
"""Most sessions of stage 1 (one engine) and stage 2 (several behind a gateway); above them stage 3."""


def plan_demand(spec: FleetSpec) -> tuple[Demand, ...]:
    """Each pool's concurrent sessions, in the spec's order."""
    return tuple(_demand(spec, name) for name in spec.pools)


def stage_of(sessions: int) -> int:
    """1 up to 50 sessions, 2 up to 250, else 3 (the article's three stages)."""
    return next((stage for most, stage in _STAGES if sessions <= most), 3)


def _demand(spec: FleetSpec, name: str) -> Demand:
    """One pool's part of its role's sessions, and the longest context that one of them grows to."""
    workload, role = spec.workload, spec.pools[name].role
    roles = {
        item.role: item for item in topology_slots(workload.topology, workload.agents, workload.workflows)
    }
    slots, sharing = roles[role], sum(pool.role == role for pool in spec.pools.values())
    unit = "active stage" if role is Role.STAGE else str(role)
    formula = f"{count_text(slots.workflows, 'workflow')} x {count_text(slots.per_workflow, unit)}"
    if sharing > 1:
        crowd = ", the fullest at the 95th percentile" if role is Role.STAGE else ""
        formula = f"{formula} / {sharing} pools{crowd}"
    return Demand(name, str(role), pool_slots(slots, sharing), formula, context_of(workload).peak_tokens)


def context_of(workload: Workload) -> ContextEffect:
    """What one session's context grows to, and what its strategy costs."""
    calls = workload.tool_calls
    session = Session(workload.context_tokens, calls.count if calls else 0, calls.tokens if calls else 0)
    return context_effect(workload.context_strategy, session)
