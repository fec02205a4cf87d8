"""Sessions by pool: how many conversations a topology keeps alive at once.

Flat and hierarchical workflows run all their agents in parallel; a pipeline has one active agent per workflow, which
is why its demand does not grow with its stages (the sizing article of March 2026, "topologies and their footprints").
"""

from __future__ import annotations

from infra.plan.fleet_plan import Demand
from infra.plan.text import count_text
from infra.spec import FleetSpec

_STAGES = ((50, 1), (250, 2))
"""Most sessions of stage 1 (one engine) and stage 2 (several behind a gateway); above them stage 3."""


def plan_demand(spec: FleetSpec) -> tuple[Demand, ...]:
    """Each pool's concurrent sessions, in the spec's order."""
    return tuple(_demand(spec, name) for name in spec.pools)


def stage_of(sessions: int) -> int:
    """1 up to 50 sessions, 2 up to 250, else 3 (the article's three stages)."""
    return next((stage for most, stage in _STAGES if sessions <= most), 3)


def _demand(spec: FleetSpec, name: str) -> Demand:
    """One pool's part of its role's sessions; pools of the same role share them evenly, rounded up."""
    workload, role = spec.workload, spec.pools[name].role
    parallel = workload.topology == "flat" or role == "worker"
    sessions = workload.workflows * (workload.agents if parallel else 1)
    unit = "active stage" if workload.topology == "pipeline" else str(role)
    each = count_text(workload.agents, unit) if parallel else f"1 {unit}"
    formula = f"{count_text(workload.workflows, 'workflow')} x {each}"
    sharing = sum(pool.role == role for pool in spec.pools.values())
    if sharing > 1:
        sessions, formula = -(-sessions // sharing), f"{formula} / {sharing} pools"
    return Demand(name, str(role), sessions, formula, workload.context_tokens)
