"""From a spec to a plan: demand, then shape and place of every pool, then one replica after another."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence

from infra.catalog.models import Model
from infra.plan.bill import bill
from infra.plan.choices import Choice, settle
from infra.plan.demand import plan_demand, sessions_of, stage_of
from infra.plan.fleet_plan import FleetPlan, Note, PoolPlan, ReplicaPlan
from infra.plan.gateway import plan_gateway
from infra.plan.limits import refuse_version
from infra.plan.nodes import lab_network, plan_nodes
from infra.plan.reasons import fleet_notes, pool_decisions, pool_notes
from infra.plan.replicas import plan_replicas
from infra.plan.state import plan_state, state_notes
from infra.plan.wishes import spread_of, wish
from infra.plan.workload_notes import context_notes, seat_notes, spread_notes
from infra.spec import FleetSpec

_FRONT_ROLES = ("orchestrator", "agent", "stage", "worker", "long")
"""Which pool a client meets first: the fleet's endpoint is its first replica."""


def make_plan(spec: FleetSpec, models: Mapping[str, Model]) -> FleetPlan:
    """Every decision of a fleet; `models` holds the facts of each model of the spec under its key there.

    Raises PlanError for a fleet that does not fit its machines, SizingError for what no engine or device can do.
    """
    refuse_version(spec.engine.version, spec.engine.shutdown_timeout_s)
    nodes = plan_nodes(spec)
    wishes = [wish(spec, item, models[spec.pools[item.pool].model], nodes) for item in plan_demand(spec)]
    choices = settle(wishes, nodes)
    by_name = {node.name: node for node in nodes}
    replicas = [replica for choice in choices for replica in plan_replicas(spec, choice, by_name)]
    pools = [_pool_plan(spec, choice, replicas) for choice in choices]
    front = min(pools, key=lambda pool: _FRONT_ROLES.index(pool.role))
    gateway = plan_gateway(spec, nodes, pools, replicas, front.name)
    state = plan_state(spec, nodes, replicas)
    notes = [note for choice in choices for note in _notes_of(spec, choice)]
    beside = {gateway.node} if gateway else set()
    beside |= {member.node for member in state.members} if state else set()
    cost = bill(nodes, replicas)
    sessions = sessions_of(spec.workload)
    return FleetPlan(
        name=spec.name,
        stage=stage_of(sessions),
        sessions=sessions,
        demand=tuple(choice.demand for choice in choices),
        pools=tuple(pools),
        nodes=nodes,
        replicas=tuple(replicas),
        clients=_clients(spec),
        endpoint=f"{gateway.base_url}/v1" if gateway else front.endpoints[0],
        cost=cost,
        cost_per_hour=round(cost.total.usd_per_hour, 2) if cost.total else None,
        notes=(
            *context_notes(spec),
            *notes,
            *state_notes(spec, state, nodes),
            *fleet_notes(spec, nodes, replicas, beside),
        ),
        gateway=gateway,
        state=state,
    )


def _notes_of(spec: FleetSpec, choice: Choice) -> Iterator[Note]:
    yield from pool_notes(choice, spec.pools[choice.demand.pool])
    yield from seat_notes(spec, choice)
    yield from spread_notes(spec, choice)


def _pool_plan(spec: FleetSpec, choice: Choice, replicas: Sequence[ReplicaPlan]) -> PoolPlan:
    shape, demand = choice.shape, choice.demand
    pool = spec.pools[demand.pool]
    return PoolPlan(
        name=demand.pool,
        role=demand.role,
        model=pool.model,
        device=shape.device.name,
        sessions=demand.sessions,
        context_tokens=demand.context_tokens,
        replicas=shape.replicas,
        tensor_parallel_size=shape.tensor_parallel_size,
        slots_per_replica=shape.slots,
        slots=shape.slots * shape.replicas,
        peak_sessions_per_replica=shape.peak_sessions,
        max_num_seqs=shape.max_num_seqs,
        endpoints=tuple(f"{replica.base_url}/v1" for replica in replicas if replica.pool == demand.pool),
        decisions=pool_decisions(choice, pool, spread_of(spec)),
    )


def _clients(spec: FleetSpec) -> tuple[str, ...]:
    """Networks that may reach the engines, none of them inside another, as nftables' sets ask for.

    A lab fleet that names none lets its own network in.
    """
    if not spec.access.clients and spec.nodes.lab:
        return (str(spec.nodes.lab.network or lab_network(spec.name)),)
    return tuple(str(network) for network in ipaddress.collapse_addresses(spec.access.clients))
