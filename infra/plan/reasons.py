"""Why the plan chose what it chose, in sentences; and what a number that the operator fixed costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set

from infra.affinity import Spread
from infra.plan.choices import Choice
from infra.plan.fleet_plan import NodePlan, Note, ReplicaPlan, Setting
from infra.plan.placement import Seat
from infra.plan.sizing import HEADROOM, MOST_SEQUENCES, headroom
from infra.plan.text import count_text
from infra.spec import FleetSpec
from infra.spec.workload import Pool
from infra.topology import whole_sessions


def flag_reasons(choice: Choice, pool: Pool, seat: Seat, node: NodePlan) -> dict[str, str]:
    """Reasons of the flags whose value the pool's plan decided."""
    shape = choice.shape
    return {
        "port": "the pool's port"
        if seat.port == pool.port
        else f"the next free one from the pool's {pool.port} up",
        "kv_cache_memory": f"{_cache_place(node)}, exact to the byte",
        "max_model_len": f"{choice.context_key}: {shape.slots} such sessions fit",
        "max_num_seqs": _sequences_reason(choice, pool),
        "tensor_parallel_size": f"GPUs per replica: {_split_reason(choice, pool)}",
    }


def pool_decisions(choice: Choice, pool: Pool, spread: Spread) -> tuple[Setting, ...]:
    """The pool's numbers in the order in which they follow from each other."""
    shape, demand = choice.shape, choice.demand
    return (
        Setting("sessions", str(demand.sessions), demand.formula),
        Setting("context_tokens", str(demand.context_tokens), choice.context_key),
        Setting("tensor_parallel_size", str(shape.tensor_parallel_size), _split_reason(choice, pool)),
        Setting("slots per replica", str(shape.slots), _slots_reason(choice)),
        Setting("replicas", str(shape.replicas), _replicas_reason(choice, pool)),
        Setting("peak sessions", str(shape.peak_sessions), _peak_reason(choice, spread)),
        Setting("max_num_seqs", str(shape.max_num_seqs), _sequences_reason(choice, pool)),
    )


def pool_notes(choice: Choice, pool: Pool) -> Iterator[Note]:
    """What the operator should know about one pool."""
    shape, demand, place = choice.shape, choice.demand, f"pools.{choice.demand.pool}"
    waiting = demand.sessions - shape.slots * shape.replicas
    if waiting > 0:
        text = f"{waiting} of {demand.sessions} sessions have no seat at full context: they wait, or are computed again"
        yield Note("shortfall", f"{place}.{_too_low(shape.max_num_seqs, shape.slots, pool)}", text)
    if choice.unfixed and shape.gpus > choice.unfixed.gpus and shape.device.kind == "gpu":
        more = shape.gpus - choice.unfixed.gpus
        text = f"the numbers fixed here take {count_text(more, 'more GPU')} than the plan's own {choice.unfixed.gpus}"
        yield Note("info", place, text)
    for text in shape.memory.notes:
        yield Note("warning", place, text)


def fleet_notes(
    spec: FleetSpec, nodes: Sequence[NodePlan], replicas: Sequence[ReplicaPlan], beside: Set[str]
) -> Iterator[Note]:
    """What the operator should know about the fleet as a whole. `beside` are nodes with a service that is no engine."""
    used = {replica.node for replica in replicas} | beside
    for node in nodes:
        if node.name not in used:
            yield Note("warning", f"nodes.{node.name}", "carries nothing, and is paid for all the same")
        elif node.price_per_hour is None:
            text = f"no price is known for {node.device}: give price_per_hour, or the fleet's cost stays open"
            yield Note("info", f"nodes.{node.name}", text)
    for name in spec.pools:
        if sum(replica.pool == name for replica in replicas) > 1 and spec.gateway.kind == "none":
            text = (
                "several replicas and no gateway: clients must spread their sessions over them by themselves"
            )
            yield Note("warning", f"pools.{name}", text)
    for key, model in spec.models.items():
        if all(pool.model != key for pool in spec.pools.values()):
            yield Note("warning", f"models.{key}", "no pool serves it")
        if model.weights.hub and len(model.weights.revision or "") != _COMMIT_DIGITS:
            text = "a branch or tag can move: give the commit, so that every node has the same weights"
            yield Note("warning", f"models.{key}.weights.revision", text)
        if model.weights.token_config and (model.weights.endpoint or "").startswith("http://"):
            text = "the token goes to it in the clear: use an https address"
            yield Note("warning", f"models.{key}.weights.endpoint", text)


_COMMIT_DIGITS = 40


def _cache_place(node: NodePlan) -> str:
    return "nodes.lab.kv_cache_memory" if node.lab else "the smallest kv_cache_memory of the pool's hosts"


def _slots_reason(choice: Choice) -> str:
    shape = choice.shape
    room = f"{shape.memory.max_concurrency:.2f} full contexts of KV cache, of which vLLM keeps one block"
    seats = whole_sessions(shape.memory.max_concurrency)
    return room if shape.slots == seats else f"{room}, so {seats}; max_num_seqs admits {shape.slots}"


def _replicas_reason(choice: Choice, pool: Pool) -> str:
    shape, sessions = choice.shape, choice.demand.sessions
    if pool.replicas:
        return "fixed in the spec"
    if shape.peak_sessions * shape.replicas < sessions + shape.replicas:
        return f"{sessions} sessions / {shape.slots} slots, rounded up"
    return (
        f"the fewest whose busiest, with {shape.peak_sessions} of {sessions} sessions, stays within its slots"
    )


def _peak_reason(choice: Choice, spread: Spread) -> str:
    """Of the busiest replica, before the addresses are known."""
    shape, sessions = choice.shape, choice.demand.sessions
    if not spread.hashed or shape.replicas == 1:
        return f"{sessions} sessions / {count_text(shape.replicas, 'replica')}, spread evenly"
    limit = (
        "" if spread.load_factor is None else f", and never more than {spread.load_factor:g} times the mean"
    )
    return f"of the busiest of {shape.replicas} replicas, hashed by session: the 95th percentile{limit}"


def _sequences_reason(choice: Choice, pool: Pool) -> str:
    shape = choice.shape
    if pool.max_num_seqs:
        return f"fixed in the spec, for a peak of {shape.peak_sessions} sessions"
    if shape.max_num_seqs == MOST_SEQUENCES:
        return f"vLLM's largest default, for a peak of {shape.peak_sessions} sessions"
    if shape.max_num_seqs < headroom(shape.peak_sessions):
        return "engine.extra_flags.max-num-batched-tokens: a step has no more tokens"
    return f"{HEADROOM} x the peak of {shape.peak_sessions} sessions per replica"


def _split_reason(choice: Choice, pool: Pool) -> str:
    shape = choice.shape
    if pool.tensor_parallel_size:
        return "fixed in the spec"
    why = "the fewest" if shape.gpus == choice.fewest_gpus else "on the nodes that cost least of those"
    return f"{shape.gpus} x {shape.device.name} in all, {why} that seat {choice.demand.sessions} sessions"


def _too_low(max_num_seqs: int, slots: int, pool: Pool) -> str:
    return "max_num_seqs" if pool.max_num_seqs == slots == max_num_seqs else "replicas"
