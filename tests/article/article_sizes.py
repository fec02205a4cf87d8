"""The article's two models on its GPUs, sized by the memory model under its own settings."""

from __future__ import annotations

import dataclasses
import functools
import itertools

from infra.affinity import usual_imbalance
from infra.catalog.devices import Device, device_named
from infra.catalog.models import Model, model_named
from infra.errors import SizingError
from infra.memory import EngineSettings, MemoryBudget, size_replica
from infra.topology import seats_within

K = 1 << 10
GIB = 1 << 30

SMALL = model_named("meta-llama/Llama-3.1-8B-Instruct")
LARGE = model_named("meta-llama/Meta-Llama-3.1-70B")


@functools.cache
def _settings(context_tokens: int, gpus: int, sessions: int | None) -> EngineSettings:
    """The article's command line: FP8 weights and cache, utilization 0.90, 1.5 sequences for each session."""
    return EngineSettings(
        max_model_len=context_tokens,
        tensor_parallel_size=gpus,
        max_num_seqs=None if sessions is None else max(2, 3 * sessions // 2),
        gpu_memory_utilization=0.90,
        kv_cache_dtype="fp8",
        quantization="fp8",
    )


def sized(
    model: Model,
    device: str | Device,
    context_tokens: int,
    gpus: int = 1,
    sessions: int | None = None,
    **changes: object,
) -> MemoryBudget:
    """One replica; `sessions` are those aimed at."""
    found = device_named(device) if isinstance(device, str) else device
    settings = dataclasses.replace(_settings(context_tokens, gpus, sessions), **changes)
    return size_replica(model, found, settings)


def seats(
    model: Model,
    device: str | Device,
    context_tokens: int,
    gpus: int = 1,
    sessions: int | None = None,
    **changes: object,
) -> int:
    """Sessions of full context that one replica seats; 0 where the engine would not start."""
    try:
        return seats_within(sized(model, device, context_tokens, gpus, sessions, **changes)).planned
    except SizingError:
        return 0


def kv_gib(model: Model, context_tokens: int, sessions: int) -> float:
    """KV cache of so many sessions of full context."""
    return token_bytes(model) * context_tokens * sessions / GIB


def token_bytes(model: Model, **changes: object) -> int:
    """KV cache of one token on one GPU."""
    return sized(model, "H200", 8 * K, **changes).kv_bytes_per_token


def weights_gib(model: Model) -> float:
    """The weights on one GPU."""
    return sized(model, "H200", 8 * K).weights_bytes / GIB


def overhead_gib(model: Model, device: str, context_tokens: int, gpus: int, sessions: int) -> float:
    """What the engine takes on all its GPUs beside weights and cache."""
    memory = sized(model, device, context_tokens, gpus, sessions)
    return gpus * (memory.activation_bytes + memory.non_torch_bytes + memory.cuda_graph_bytes) / GIB


def total_gib(model: Model, device: str, context_tokens: int, gpus: int, sessions: int) -> float:
    """What the engine needs on all its GPUs for so many sessions: weights, cache and overheads."""
    memory = sized(model, device, context_tokens, gpus, sessions)
    weights = gpus * memory.weights_bytes / GIB
    return (
        kv_gib(model, context_tokens, sessions)
        + weights
        + overhead_gib(model, device, context_tokens, gpus, sessions)
    )


def memory_gib(device: str, gpus: int = 1) -> float:
    """What the driver reports."""
    return gpus * device_named(device).memory_bytes / GIB


def usd_per_hour(device: str) -> float:
    """The catalog's price of one GPU."""
    price = device_named(device).price
    assert price is not None
    return price.usd_per_hour


def replicas_for(sessions: int, seats_each: int) -> int:
    """The fewest replicas behind a consistent hash of which the busiest seats its sessions."""
    return next(
        replicas
        for replicas in itertools.count(1)
        if usual_imbalance(replicas, sessions).peak_sessions <= seats_each
    )
