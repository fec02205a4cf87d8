"""Sessions by pool: how many conversations a topology keeps alive at once, and how long each of them gets.

Flat and hierarchical workflows run all their agents in parallel; a pipeline has one active agent per workflow, which
is why its demand does not grow with its stages (the sizing article of March 2026, "topologies and their footprints").
Of each role the long sessions, where the spec has any, are seated by the pools with the role long.
"""

from __future__ import annotations

from infra.plan.fleet_plan import Demand
from infra.plan.text import count_text
from infra.spec import FleetSpec
from infra.spec.kinds import ContextStrategy, Role
from infra.spec.workload import LongSessions, Workload
from infra.topology import (
    LengthSplit,
    RoleSlots,
    context_effect,
    pool_slots,
    split_by_length,
    topology_slots,
)

_STAGES = ((50, 1), (250, 2))
"""Most sessions of stage 1 (one engine) and stage 2 (several behind a gateway); above them stage 3."""


def plan_demand(spec: FleetSpec) -> tuple[Demand, ...]:
    """Each pool's concurrent sessions, in the spec's order."""
    return tuple(_demand(spec, name) for name in spec.pools)


def sessions_of(workload: Workload) -> int:
    """Sessions of all roles that are open at once."""
    return sum(slots.sessions for slots in _roles(workload))


def stage_of(sessions: int) -> int:
    """1 up to 50 sessions, 2 up to 250, else 3 (the article's three stages)."""
    return next((stage for most, stage in _STAGES if sessions <= most), 3)


def length_split(workload: Workload, long: LongSessions) -> LengthSplit:
    """All sessions of a workload, the long ones apart."""
    cap_tokens = context_effect(workload).peak_tokens
    return split_by_length(sessions_of(workload), long.share, cap_tokens, long.context_tokens)


def context_key(workload: Workload, role: str) -> str:
    """The key of the spec that decides how long a session of this role gets."""
    if role == Role.LONG:
        return "workload.long_sessions.context_tokens"
    windowed = workload.context_strategy is ContextStrategy.SLIDING_WINDOW and workload.window_tokens
    return "workload.window_tokens" if windowed else "workload.context_tokens"


def _demand(spec: FleetSpec, name: str) -> Demand:
    """One pool's part of its role's sessions, and the longest context that one of them grows to."""
    workload, role = spec.workload, spec.pools[name].role
    sharing = sum(pool.role is role for pool in spec.pools.values())
    if role is Role.LONG and workload.long_sessions:
        return _long_demand(workload, workload.long_sessions, name, sharing)
    slots = next(item for item in _roles(workload) if item.role is role)
    unit = "active stage" if role is Role.STAGE else str(role)
    formula = f"{count_text(slots.workflows, 'workflow')} x {count_text(slots.per_workflow, unit)}"
    if sharing > 1:
        formula = f"{formula} / {sharing} pools"
    kept = 1 - workload.long_sessions.share if workload.long_sessions else 1.0
    formula += f" x {kept:.4g} that stay short" if kept < 1 else ""
    if kept < 1 or (role is Role.STAGE and sharing > 1):
        formula = f"{formula}, the {'fullest' if sharing > 1 else 'most'} at the 95th percentile"
    sessions = pool_slots(slots, sharing, kept)
    return Demand(name, str(role), sessions, formula, context_effect(workload).peak_tokens)


def _long_demand(workload: Workload, long: LongSessions, name: str, sharing: int) -> Demand:
    sessions = -(-length_split(workload, long).long_sessions // sharing)
    formula = f"{count_text(sessions_of(workload), 'session')} x {long.share:.4g} that get long"
    formula += f" / {sharing} pools" if sharing > 1 else ""
    return Demand(
        name, str(Role.LONG), sessions, f"{formula}, the most at the 95th percentile", long.context_tokens
    )


def _roles(workload: Workload) -> tuple[RoleSlots, ...]:
    return topology_slots(workload.topology, workload.agents, workload.workflows)
