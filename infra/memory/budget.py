"""One replica's memory per GPU: physical memory less what the engine takes is what the KV cache gets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from infra.catalog.devices import Device
from infra.catalog.models import Model
from infra.errors import SizingError
from infra.memory.activation import activation_bytes
from infra.memory.interval import Interval, kv_interval
from infra.memory.kv import cache_pages, cache_rules, token_bytes
from infra.memory.overheads import graph_bytes, graphs_deducted, non_torch_bytes
from infra.memory.pages import Pool, build_pool
from infra.memory.replica import Replica, resolve_replica
from infra.memory.rules import check_replica, resolve_kv_dtype
from infra.memory.settings import EngineSettings, check_settings
from infra.memory.versions import LATEST_VLLM, REPRESENTATIVES
from infra.memory.weights import stage_layers, stage_tensors, stage_weights_bytes


@dataclass(frozen=True)
class MemoryBudget:
    """What each GPU of a replica holds, in bytes, and the KV tokens and sequences that result.

    The figures are those of the pipeline stage with the least room. `kv_cache_tokens` and `max_concurrency` mean what
    this vLLM version logs when it starts; `kv_bytes_per_token` is what one more token of a long sequence adds, in the
    layers that keep every token, on average where ranks deal them out. `cuda_graph_bytes` come on top of the budget up
    to 0.19, and from 0.20 on inside it.
    """

    total_bytes: int
    usable_bytes: int
    weights_bytes: int
    activation_bytes: int
    non_torch_bytes: int
    cuda_graph_bytes: int
    kv_cache_bytes: int
    kv_bytes_per_token: int
    kv_cache_tokens: int
    max_concurrency: float
    block_size: int
    fits: bool
    interval: Interval
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Stage:
    """One GPU of one pipeline stage, which holds the layers from `first_layer` to before `end_layer`."""

    first_layer: int
    end_layer: int
    weights: int
    activation: int
    non_torch: int
    graphs: int
    kv_cache: int
    blocks: int


def size_replica(model: Model, device: Device, settings: EngineSettings) -> MemoryBudget:
    """Size one replica of `model` on GPUs of one kind.

    Without a vLLM version the least generous of the known versions is answered, with an interval over all of them.
    Raises SizingError, which names the config's key or the flag, for whatever is not understood or would not start.
    """
    check_settings(settings)
    if settings.vllm_version is not None:
        return _size(resolve_replica(model, device, settings))
    newest = _size(resolve_replica(model, device, replace(settings, vllm_version=LATEST_VLLM)))
    budgets = {LATEST_VLLM: newest}
    for version in REPRESENTATIVES:
        with contextlib.suppress(SizingError):  # a model that this older version could not run
            budgets[version] = _size(resolve_replica(model, device, replace(settings, vllm_version=version)))
    return _least_generous(budgets)


def _least_generous(budgets: dict[str, MemoryBudget]) -> MemoryBudget:
    version, least = min(budgets.items(), key=lambda item: item[1].kv_cache_bytes)
    note = f"no vLLM version was given: sized for the least generous one ({version})"
    if version != LATEST_VLLM:
        newest = budgets[LATEST_VLLM]
        note += (
            f"; {LATEST_VLLM} holds {newest.kv_cache_tokens} tokens, {newest.max_concurrency:.2f} sequences"
        )
    low = min(budget.interval.low_bytes for budget in budgets.values())
    high = max(budget.interval.high_bytes for budget in budgets.values())
    return replace(least, interval=Interval(low, high), notes=(note, *least.notes))


def _size(replica: Replica) -> MemoryBudget:
    notes = check_replica(replica)
    rules = cache_rules(replica, resolve_kv_dtype(replica))
    context_ranks = replica.settings.decode_context_parallel_size
    pages = cache_pages(replica.network, rules)
    pool = build_pool(pages, replica.version, in_flight_tokens(replica), context_ranks)
    stages = tuple(_stages(replica, pool))
    stage = min(stages, key=lambda stage: stage.blocks)
    tokens, concurrency = pool.logged(stage.blocks, replica.settings.max_model_len)
    return MemoryBudget(
        total_bytes=replica.device.memory_bytes,
        usable_bytes=replica.usable_bytes,
        weights_bytes=stage.weights,
        activation_bytes=stage.activation,
        non_torch_bytes=stage.non_torch,
        cuda_graph_bytes=stage.graphs,
        kv_cache_bytes=max(0, stage.kv_cache),
        kv_bytes_per_token=token_bytes(replica.network, rules, stage.first_layer, stage.end_layer)
        // context_ranks,
        kv_cache_tokens=tokens,
        max_concurrency=concurrency,
        block_size=min((group.block_tokens for group in pool.groups), default=0),
        fits=pool.fits(stage.blocks, replica.settings.max_model_len),
        interval=_interval(stages, replica),
        notes=notes,
    )


def _interval(stages: tuple[_Stage, ...], replica: Replica) -> Interval:
    """Bounds over all stages: which of them a log line speaks of is not said in it."""
    each = [
        kv_interval(part.kv_cache, part.weights, part.activation, part.graphs, replica) for part in stages
    ]
    return Interval(min(part.low_bytes for part in each), max(part.high_bytes for part in each))


def _stages(replica: Replica, pool: Pool) -> Iterator[_Stage]:
    count, first = replica.settings.pipeline_parallel_size, 0
    layers = stage_layers(replica.network, count)
    for index, tensors in enumerate(stage_tensors(replica.network, count)):
        end = first + len(layers[index])
        weights = stage_weights_bytes(tensors, replica)
        yield _stage(replica, weights, pool.block_bytes(first, end), (first, end), samples=index == count - 1)
        first = end


def _stage(
    replica: Replica, weights: int, block_bytes: int, layers: tuple[int, int], *, samples: bool
) -> _Stage:
    """The budget of one stage; on the CPU nothing is profiled, and the cache is what was asked for."""
    on_gpu = replica.device.kind != "cpu"
    activation = activation_bytes(replica, samples=samples) if on_gpu else 0
    non_torch = non_torch_bytes(replica.version, replica.device, replica.ranks) if on_gpu else 0
    graphs = graph_bytes(replica.limits.max_num_seqs) if on_gpu and not replica.settings.enforce_eager else 0
    taken = weights + activation + non_torch + (graphs if graphs_deducted(replica.version) else 0)
    kv_cache = replica.settings.kv_cache_memory_bytes or replica.usable_bytes - taken
    blocks = max(0, kv_cache // block_bytes) if block_bytes else 0
    return _Stage(*layers, weights, activation, non_torch, graphs, kv_cache, blocks)


def in_flight_tokens(replica: Replica) -> int:
    """Tokens that are scheduled and not settled: one batch, and from 0.26 on every batch under way.

    That is one for each stage, and on GPUs one more, which is prepared while the others run (the CPU build waits).
    """
    stages = replica.settings.pipeline_parallel_size
    under_way = stages if replica.device.kind == "cpu" else stages + 1
    batches = 1 if replica.version < (0, 26, 0) else under_way
    return batches * replica.limits.max_num_batched_tokens
