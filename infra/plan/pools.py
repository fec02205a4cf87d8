"""One pool's shape and place: the cheapest shape that seats its sessions and for which there is room."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.catalog.devices import Device, device_named
from infra.catalog.models import Model
from infra.errors import PlanError
from infra.memory import EngineSettings
from infra.plan.fleet_plan import Demand, NodePlan
from infra.plan.limits import refusal, refuse_context
from infra.plan.placement import Ledger, Seat
from infra.plan.sizing import Request, Shape, missing_bytes, shapes, tensor_parallel_sizes
from infra.spec import FleetSpec

_GIB = 1 << 30


@dataclass(frozen=True)
class Choice:
    """A pool as it will stand. `unfixed` is the shape without the operator's own numbers, where that fits as well."""

    demand: Demand
    shape: Shape
    seats: tuple[Seat, ...]
    unfixed: Shape | None


def choose(
    spec: FleetSpec, demand: Demand, model: Model, nodes: Sequence[NodePlan], ledger: Ledger
) -> Choice:
    """Decide one pool and take its GPUs from the ledger.

    PlanError where it does not fit, SizingError where no node can run it as asked.
    """
    pool = spec.pools[demand.pool]
    candidates = [node for node in nodes if pool.nodes is None or node.name in pool.nodes]
    refuse_context(model, demand.context_tokens)
    kinds = _kinds(demand.pool, candidates, pinned=pool.nodes is not None)
    usable = _usable(spec, pool.model, kinds)
    request = _request(spec, demand, model, lab=candidates[0].lab is not None)
    options = _options(request, usable)
    if not options:
        raise _too_small(request, usable)
    for shape in options:
        members = usable[shape.device.name]
        if ledger.room(members, shape.tensor_parallel_size, pinned=pool.nodes is not None) >= shape.replicas:
            seats = ledger.place(
                members, shape.replicas, shape.tensor_parallel_size, pool.port, pinned=pool.nodes is not None
            )
            return Choice(demand, shape, seats, _unfixed(request, shape.device, members))
    raise _no_room(request, options[0], usable, ledger)


def _kinds(pool: str, candidates: Sequence[NodePlan], *, pinned: bool) -> dict[str, list[NodePlan]]:
    """Candidates by device: replicas of one pool run on like devices, so that each serves alike."""
    kinds: dict[str, list[NodePlan]] = {}
    for node in candidates:
        kinds.setdefault(node.device, []).append(node)
    if pinned and len(kinds) > 1:
        unlike = " and ".join(f"{members[0].name} ({device})" for device, members in kinds.items())
        raise PlanError(f"pools.{pool}.nodes: {unlike} have unlike devices: give each kind a pool of its own")
    return kinds


def _usable(spec: FleetSpec, model: str, kinds: Mapping[str, list[NodePlan]]) -> dict[str, list[NodePlan]]:
    """Kinds that can run the model as the spec asks; the refusal of the first when none can."""
    engine, method = spec.engine, spec.models[model].quantization
    refusals = {
        name: refusal(device_named(name), str(engine.kv_cache_dtype), method, model) for name in kinds
    }
    usable = {name: members for name, members in kinds.items() if refusals[name] is None}
    if not usable:
        raise next(error for error in refusals.values() if error)
    return usable


def _request(spec: FleetSpec, demand: Demand, model: Model, *, lab: bool) -> Request:
    pool, engine = spec.pools[demand.pool], spec.engine
    settings = EngineSettings(
        max_model_len=demand.context_tokens,
        vllm_version=engine.version,
        gpu_memory_utilization=None if lab else engine.gpu_memory_utilization,
        kv_cache_dtype=str(engine.kv_cache_dtype),
        quantization=spec.models[pool.model].quantization,
        dtype=str(spec.models[pool.model].dtype),
        enforce_eager=lab,
        kv_cache_memory_bytes=spec.nodes.lab.kv_cache_memory_bytes if spec.nodes.lab and lab else None,
    )
    return Request(
        pool=demand.pool,
        model=model,
        sessions=demand.sessions,
        settings=settings,
        replicas=pool.replicas,
        tensor_parallel_size=pool.tensor_parallel_size,
        max_num_seqs=pool.max_num_seqs,
    )


def _options(request: Request, usable: Mapping[str, list[NodePlan]]) -> list[Shape]:
    """Shapes on every usable kind, cheapest first; kinds without a price last, then the fewest GPUs."""

    def cost(shape: Shape) -> tuple[float, int, int]:
        node = usable[shape.device.name][0]
        per_gpu = math.inf if node.price_per_hour is None else node.price_per_hour / node.device_count
        return per_gpu * shape.gpus, shape.gpus, shape.tensor_parallel_size

    found = (
        shape
        for name, members in usable.items()
        for shape in shapes(request, device_named(name), max(node.device_count for node in members))
    )
    return sorted(found, key=cost)


def _unfixed(request: Request, device: Device, members: Sequence[NodePlan]) -> Shape | None:
    if request.replicas is None and request.tensor_parallel_size is None and request.max_num_seqs is None:
        return None
    free = dataclasses.replace(request, replicas=None, tensor_parallel_size=None, max_num_seqs=None)
    return next(iter(shapes(free, device, max(node.device_count for node in members))), None)


def _too_small(request: Request, usable: Mapping[str, list[NodePlan]]) -> PlanError:
    """Not one session fits, whatever the shape: what is missing on the largest device at the largest split."""
    name, members = max(usable.items(), key=lambda kind: device_named(kind[0]).memory_bytes)
    device, most = device_named(name), max(node.device_count for node in members)
    sizes = tensor_parallel_sizes(request, most)
    if not sizes:
        return PlanError(
            f"pools.{request.pool}.tensor_parallel_size: {request.tensor_parallel_size} GPUs are more than the "
            f"{most} of a node with {name}"
        )
    missing = missing_bytes(request, device, sizes[-1]) / _GIB
    change = "lower workload.context_tokens, quantize the model or use larger GPUs"
    if request.settings.kv_cache_memory_bytes is not None:
        change = "raise nodes.lab.kv_cache_memory or lower workload.context_tokens"
    return PlanError(
        f"pools.{request.pool}: one session of {request.settings.max_model_len} tokens of {request.model.name} does "
        f"not fit on {name} with tensor_parallel_size {sizes[-1]}: {missing:.2f} GiB are missing on each GPU; {change}"
    )


def _no_room(
    request: Request, shape: Shape, usable: Mapping[str, list[NodePlan]], ledger: Ledger
) -> PlanError:
    """It fits a GPU but not the nodes: sessions and KV cache without a seat, for the cheapest shape."""
    room = ledger.room(usable[shape.device.name], shape.tensor_parallel_size, pinned=False)
    homeless = max(0, request.sessions - room * shape.slots)
    needed = (
        homeless
        * request.settings.max_model_len
        * shape.memory.kv_bytes_per_token
        * shape.tensor_parallel_size
    )
    what = f"{shape.replicas} replicas of {shape.tensor_parallel_size} x {shape.device.name}"
    change = "add machines to nodes.hosts, lower workload.workflows or workload.context_tokens"
    if shape.device.kind == "cpu":
        what = f"{shape.replicas} lab nodes"
        change = "raise nodes.lab.count or nodes.lab.kv_cache_memory, or name the pool's nodes to share one"
    return PlanError(
        f"pools.{request.pool}: {request.sessions} sessions need {what}, and there is room for {room}: "
        f"{homeless} sessions ({needed / _GIB:.2f} GiB of KV cache) have no seat; {change}"
    )
