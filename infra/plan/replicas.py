"""Each replica of a placed pool: its command line, environment, folders and gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from infra.plan.choices import Choice
from infra.plan.engine import MODELS_FOLDER, version_tuple
from infra.plan.flags import EngineRequest, engine_flags
from infra.plan.fleet_plan import NodePlan, ReplicaPlan, Setting, WeightsPlan
from infra.plan.limits import GATE_SINCE
from infra.plan.placement import Seat
from infra.plan.process import directives, environment, unit_name, user_name
from infra.plan.reasons import flag_reasons
from infra.spec import FleetSpec


def plan_replicas(spec: FleetSpec, choice: Choice, nodes: Mapping[str, NodePlan]) -> Iterator[ReplicaPlan]:
    """The pool's replicas, `<pool>-0` first."""
    return (_replica(spec, choice, nodes, index) for index in range(len(choice.seats)))


def plan_weights(spec: FleetSpec, model: str) -> WeightsPlan:
    """Where a model's files stand on a node: the operator's own folder, or one of ours.

    The hub's are shared by all fleets that name the same revision; another revision goes into another folder, so that
    the old one serves until the new one is whole.
    """
    weights = spec.models[model].weights
    if weights.path is not None:
        return WeightsPlan(weights.path, "path")
    if weights.generated is not None:
        return WeightsPlan(f"{MODELS_FOLDER}/{model}", "generated")
    repository, revision = weights.hub or "", weights.revision or "main"
    return WeightsPlan(
        f"{MODELS_FOLDER}/{repository.replace('/', '--')}/{revision.replace('/', '--')}",
        "hub",
        repository,
        revision,
        weights.endpoint or "",
        weights.token_config or "",
    )


def _replica(spec: FleetSpec, choice: Choice, nodes: Mapping[str, NodePlan], index: int) -> ReplicaPlan:
    seat, name = choice.seats[index], f"{choice.demand.pool}-{index}"
    node = nodes[seat.node]
    shape, pool = choice.shape, spec.pools[choice.demand.pool]
    weights, unit = plan_weights(spec, pool.model), unit_name(spec.name, name)
    timeout_s = spec.engine.ready_timeout_s
    return ReplicaPlan(
        name=name,
        unit=unit,
        user=user_name(unit),
        pool=choice.demand.pool,
        node=node.name,
        address=node.address,
        port=seat.port,
        base_url=f"http://{node.address}:{seat.port}",
        local_url=f"http://{node.listen_address}:{seat.port}",
        gpu_ids=seat.gpu_ids,
        model=pool.model,
        served_name=spec.models[pool.model].served_name or pool.model,
        engine=node.engine,
        weights=weights,
        flags=_flags(spec, choice, node, seat),
        environment=environment(
            unit, node.engine.folder, seat.gpu_ids, lab=node.lab is not None, ready_timeout_s=timeout_s
        ),
        directives=directives(seat.gpu_ids, weights.folder, strict=spec.engine.hardening == "strict"),
        memory=shape.memory,
        slots=shape.slots,
        shutdown_timeout_s=spec.engine.shutdown_timeout_s,
        ready_timeout_s=timeout_s,
        gate_tolerance=_tolerance(spec, node),
    )


def _flags(spec: FleetSpec, choice: Choice, node: NodePlan, seat: Seat) -> tuple[Setting, ...]:
    pool = spec.pools[choice.demand.pool]
    return engine_flags(
        EngineRequest(
            device=choice.shape.device,
            settings=choice.shape.settings,
            served_name=spec.models[pool.model].served_name or pool.model,
            host=node.listen_address,
            port=seat.port,
            enable_prefix_caching=spec.engine.enable_prefix_caching,
            shutdown_timeout_s=spec.engine.shutdown_timeout_s,
            extra_flags=spec.engine.extra_flags,
            reasons=flag_reasons(choice, pool, seat, node),
        )
    )


def _tolerance(spec: FleetSpec, node: NodePlan) -> float | None:
    """Without a GPU the KV cache is stated in bytes, so the plan must be right to the token."""
    if version_tuple(spec.engine.version) < version_tuple(GATE_SINCE):
        return None
    return 0.0 if node.on_cpu else spec.gate.tolerance
