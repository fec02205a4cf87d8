"""One replica's memory per GPU: physical memory less what the engine takes is what the KV cache gets."""

from __future__ import annotations

from dataclasses import dataclass

from infra.catalog.devices import Device
from infra.catalog.models import Model
from infra.errors import SizingError
from infra.memory.settings import EngineSettings

_DTYPE_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4, "auto": 2}


@dataclass(frozen=True)
class Interval:
    """Bounds that the measured KV cache of one GPU should fall between."""

    low_bytes: int
    high_bytes: int


@dataclass(frozen=True)
class MemoryBudget:
    """What each GPU of a replica holds, in bytes, and the KV tokens and sequences that result.

    `kv_cache_tokens` and `max_concurrency` mean what this vLLM version logs when it starts.
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


def size_replica(model: Model, device: Device, settings: EngineSettings) -> MemoryBudget:
    """Size one replica of `model` on `device`; SizingError names the field that is not understood."""
    config = model.config
    for key in ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size", "intermediate_size"):
        if not isinstance(config.get(key), int):
            raise SizingError(key, f"{model.name} does not state it")
    hidden, layers, heads = (config[k] for k in ("hidden_size", "num_hidden_layers", "num_attention_heads"))
    kv_heads = config.get("num_key_value_heads") or heads
    head_dim = config.get("head_dim") or hidden // heads
    tp = settings.tensor_parallel_size
    width = _DTYPE_BYTES[settings.dtype]
    attention = 2 * hidden * head_dim * (heads + kv_heads)
    mlp = 3 * hidden * config["intermediate_size"]
    embedding = config["vocab_size"] * hidden * (1 if config.get("tie_word_embeddings") else 2)
    weights = width * (layers * (attention + mlp) + embedding) // tp
    per_token = layers * 2 * -(-kv_heads // tp) * head_dim * width
    block = settings.block_size or (128 if device.kind == "cpu" else 16)
    utilization = settings.gpu_memory_utilization or 0.92
    usable = int(device.memory_bytes * utilization)
    overhead = 0 if device.kind == "cpu" else 2 << 30
    kv = settings.kv_cache_memory_bytes or max(0, usable - weights - overhead)
    blocks = kv // (per_token * block)
    concurrency = blocks / -(-settings.max_model_len // block)
    return MemoryBudget(
        total_bytes=device.memory_bytes,
        usable_bytes=usable,
        weights_bytes=weights,
        activation_bytes=overhead,
        non_torch_bytes=0,
        cuda_graph_bytes=0,
        kv_cache_bytes=kv,
        kv_bytes_per_token=per_token,
        kv_cache_tokens=int(concurrency * settings.max_model_len),
        max_concurrency=concurrency,
        block_size=block,
        fits=concurrency >= 1,
        interval=Interval(int(kv * 0.9), int(kv * 1.1)),
        notes=(),
    )
