"""What a pool could look like before it is placed: every shape that fits, the cheapest first."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra.affinity import EVEN, Spread
from infra.catalog.devices import device_named
from infra.catalog.models import Model
from infra.errors import PlanError, SizingError
from infra.memory import EngineSettings
from infra.plan.demand import context_key
from infra.plan.fleet_plan import Demand, NodePlan
from infra.plan.limits import refusal, refuse_sequences
from infra.plan.sizing import Request, Shape, missing_bytes, needless_splits, shapes
from infra.plan.text import size_text
from infra.spec import FleetSpec, GatewayKind

_COUNTED = {
    "block-size": "block_size",
    "enable-expert-parallel": "expert_parallel",
    "enforce-eager": "enforce_eager",
    "max-num-batched-tokens": "max_num_batched_tokens",
}
"""The operator's flags that change the memory (infra/spec/flags.py), and the setting that each is."""


CROWDED = (
    "hashed without a bound, one replica gets more sessions than it has slots, even with as many replicas as sessions: "
    "set gateway.load_factor, such as 1.25"
)
"""Why a pool whose sessions fit one by one has no number of replicas."""


@dataclass(frozen=True)
class Wish:
    """A pool before it is placed: its shapes, cheapest first, on the nodes that can run it (by device).

    `context_key` is the key of the spec that decides how long its sessions get.
    """

    demand: Demand
    context_key: str
    request: Request
    options: tuple[Shape, ...]
    nodes: Mapping[str, Sequence[NodePlan]]
    pinned: bool
    first_port: int

    @property
    def shares_cpus(self) -> bool:
        """Whether any number of its replicas may stand on each of its nodes: named ones without a GPU."""
        return self.pinned and any(node.on_cpu for members in self.nodes.values() for node in members)


def wish(spec: FleetSpec, demand: Demand, model: Model, nodes: Sequence[NodePlan]) -> Wish:
    """What a pool could look like. PlanError where not one session fits, SizingError where no node can run it."""
    pool = spec.pools[demand.pool]
    candidates = [node for node in nodes if pool.nodes is None or node.name in pool.nodes]
    refuse_sequences(demand.pool, pool.max_num_seqs, spec.engine.extra_flags.get("max-num-batched-tokens"))
    kinds = _kinds(demand.pool, candidates, pinned=pool.nodes is not None)
    usable = _usable(spec, pool.model, kinds)
    request = pool_request(spec, demand, model)
    key = context_key(spec.workload, demand.role)
    try:
        options = cheapest_first(request, usable)
        if not options:
            raise _too_small(request, usable, key)
    except SizingError as error:
        raise SizingError(_place(error.field, spec, demand), error.message) from None
    return Wish(demand, key, request, tuple(options), usable, pool.nodes is not None, pool.port)


def _place(field: str, spec: FleetSpec, demand: Demand) -> str:
    """Where the spec decides a setting that the memory model refuses; what is no setting is a key of the config."""
    pool, model = demand.pool, spec.pools[demand.pool].model
    places = {
        "max_model_len": context_key(spec.workload, demand.role),
        "gpu_memory_utilization": "engine.gpu_memory_utilization",
        "kv_cache_dtype": "engine.kv_cache_dtype",
        "max_num_seqs": f"pools.{pool}.max_num_seqs",
        "tensor_parallel_size": f"pools.{pool}.tensor_parallel_size",
        "quantization": f"models.{model}.quantization",
        "dtype": f"models.{model}.dtype",
        **{setting: f"engine.extra_flags.{flag}" for flag, setting in _COUNTED.items()},
    }
    known = field in places or "." in field
    return places.get(field, field) if known else f"models.{model}.config: {field}"


def _kinds(pool: str, candidates: Sequence[NodePlan], *, pinned: bool) -> Mapping[str, Sequence[NodePlan]]:
    """Candidates by device: replicas of one pool run on like devices, so that each serves alike."""
    kinds = {
        device: [n for n in candidates if n.device == device]
        for device in dict.fromkeys(n.device for n in candidates)
    }
    if pinned and len(kinds) > 1:
        unlike = " and ".join(f"{members[0].name} ({device})" for device, members in kinds.items())
        raise PlanError(f"pools.{pool}.nodes: {unlike} have unlike devices: give each kind a pool of its own")
    return kinds


def _usable(
    spec: FleetSpec, model: str, kinds: Mapping[str, Sequence[NodePlan]]
) -> Mapping[str, Sequence[NodePlan]]:
    """Kinds that can run the model as the spec asks; the refusal of the first when none can."""
    engine, method = spec.engine, spec.models[model].quantization
    refusals = {
        name: refusal(device_named(name), str(engine.kv_cache_dtype), method, model) for name in kinds
    }
    usable = {name: members for name, members in kinds.items() if refusals[name] is None}
    if not usable:
        raise next(error for error in refusals.values() if error)
    return usable


def pool_request(spec: FleetSpec, demand: Demand, model: Model) -> Request:
    """What a pool asks of any GPU: its sessions, the engine's settings, and the numbers that the operator fixed."""
    pool, engine = spec.pools[demand.pool], spec.engine
    counted: dict[str, Any] = {
        setting: engine.extra_flags[flag] for flag, setting in _COUNTED.items() if flag in engine.extra_flags
    }
    settings = EngineSettings(
        max_model_len=demand.context_tokens,
        vllm_version=engine.version,
        gpu_memory_utilization=engine.gpu_memory_utilization,
        kv_cache_dtype=str(engine.kv_cache_dtype),
        quantization=spec.models[pool.model].quantization,
        dtype=str(spec.models[pool.model].dtype),
        enable_prefix_caching=engine.enable_prefix_caching,
    )
    return Request(
        pool=demand.pool,
        model=model,
        sessions=demand.sessions,
        settings=dataclasses.replace(settings, **counted),
        replicas=pool.replicas,
        tensor_parallel_size=pool.tensor_parallel_size,
        max_num_seqs=pool.max_num_seqs,
        spread=spread_of(spec),
    )


def spread_of(spec: FleetSpec) -> Spread:
    """How sessions come to replicas: a gateway hashes them, and bounds what one replica gets unless told not to."""
    if spec.gateway.kind is GatewayKind.NONE:
        return EVEN
    return Spread(hashed=True, load_factor=spec.gateway.load_factor)


def request_on(request: Request, members: Sequence[NodePlan]) -> Request:
    """The request as these nodes take it: without a GPU the KV cache is not planned but stated.

    Replicas of one pool serve alike, so the smallest of the stated sizes counts.
    """
    stated = [node.kv_cache_memory_bytes for node in members if node.kv_cache_memory_bytes is not None]
    if not stated:
        return request
    settings = dataclasses.replace(
        request.settings, gpu_memory_utilization=None, kv_cache_memory_bytes=min(stated)
    )
    return dataclasses.replace(request, settings=settings)


def cheapest_first(request: Request, usable: Mapping[str, Sequence[NodePlan]]) -> list[Shape]:
    """Shapes on every usable kind by price; kinds without a price last, then the fewest GPUs.

    Shapes that seat all sessions come before those that leave some without. Splits over PCIe that the model does not
    need are left out. A kind that the memory model does not understand is passed over; SizingError where it understands
    none.
    """

    def cost(shape: Shape) -> tuple[bool, float, int, int]:
        node = usable[shape.device.name][0]
        per_gpu = math.inf if node.price_per_hour is None else node.price_per_hour / node.device_count
        return not shape.seats_all, per_gpu * shape.gpus, shape.gpus, shape.tensor_parallel_size

    found: list[Shape] = []
    refusals: list[SizingError] = []
    for name, members in usable.items():
        try:
            most = max(node.device_count for node in members)
            fitting = shapes(request_on(request, members), device_named(name), most)
            needless = needless_splits(fitting)
            found += [shape for shape in fitting if shape.tensor_parallel_size not in needless]
        except SizingError as error:
            refusals.append(error)
    if len(refusals) == len(usable):
        raise refusals[0]
    return sorted(found, key=cost)


def _too_small(request: Request, usable: Mapping[str, Sequence[NodePlan]], context: str) -> PlanError:
    """Not one session fits, whatever the shape: what is missing on the largest device at the largest split."""
    name, members = max(usable.items(), key=lambda kind: device_named(kind[0]).memory_bytes)
    request, most = request_on(request, members), max(node.device_count for node in members)
    size, missing = missing_bytes(request, device_named(name), most)
    if not missing and request.spread.unbounded:
        return PlanError(f"pools.{request.pool}: {CROWDED}")
    what, change = "on each GPU", f"lower {context}, quantize the model or use larger GPUs"
    if request.settings.kv_cache_memory_bytes is not None:
        what, change = "of KV cache", f"raise kv_cache_memory under nodes, or lower {context}"
    return PlanError(
        f"pools.{request.pool}: one session of {request.settings.max_model_len} tokens of {request.model.name} does "
        f"not fit on {name} with tensor_parallel_size {size}: {size_text(missing)} {what} are missing; {change}"
    )
