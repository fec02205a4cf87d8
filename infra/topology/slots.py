"""Slots by topology: how many sessions of each role are open at once when all workflows work.

    flat           agents x workflows                           every agent of a workflow works at the same time
    hierarchical   workflows + workers x workflows              the orchestrator's session stays open meanwhile
    pipeline       workflows                                    one stage of a workflow is active, the others wait

The sizing article of March 2026 states the same three ("topologies and their GPU footprints").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra.affinity.occupancy import USUAL_QUANTILE, most_in_one
from infra.spec.kinds import Role, Topology


@dataclass(frozen=True)
class RoleSlots:
    """Sessions of one role: `per_workflow` of them in each of `workflows`."""

    role: Role
    workflows: int
    per_workflow: int

    @property
    def sessions(self) -> int:
        """Sessions that are open at once."""
        return self.workflows * self.per_workflow


def topology_slots(topology: Topology, agents: int, workflows: int) -> tuple[RoleSlots, ...]:
    """Slots of every role; `agents` are agents of a workflow, workers of an orchestrator or stages of a pipeline."""
    match topology:
        case Topology.FLAT:
            return (RoleSlots(Role.AGENT, workflows, agents),)
        case Topology.HIERARCHICAL:
            return (RoleSlots(Role.ORCHESTRATOR, workflows, 1), RoleSlots(Role.WORKER, workflows, agents))
        case Topology.PIPELINE:
            return (RoleSlots(Role.STAGE, workflows, 1),)


def pool_slots(slots: RoleSlots, pools: int, share: float = 1.0, quantile: float = USUAL_QUANTILE) -> int:
    """Sessions that each of several pools of one role must seat.

    Agents and workers have a pool of their own each, so the pools share evenly, rounded up. The stages of a pipeline
    do not: a workflow moves from pool to pool, and at times more than its share of the workflows is in one of them.
    Where a pool keeps only a `share` of its sessions because others seat the rest, how many they are is chance too.
    """
    if slots.role is Role.STAGE:
        return stage_slots(slots.sessions, [share / pools] * pools, quantile)
    return most_in_one(-(-slots.sessions // pools), [share], quantile)


def stage_slots(workflows: int, time_shares: Sequence[float], quantile: float = USUAL_QUANTILE) -> int:
    """Workflows in the fullest stage of a pipeline, not exceeded with probability `quantile`.

    `time_shares` is the part of a workflow's time that each stage takes. Workflows are taken to be independent of each
    other, each at a random point of its way; a queue in front of a slow stage makes that stage's share larger.
    """
    return most_in_one(workflows, time_shares, quantile)
