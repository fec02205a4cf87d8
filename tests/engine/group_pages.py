"""Run by the engine's own Python: every model of the catalog through vLLM's own grouping of cache pages.

Builds vLLM's specs from a model's layers, lets vllm.v1.core.kv_cache_utils group them and count blocks and tokens, and
prints one JSON object a case beside what infra.memory says. Nothing is loaded and no GPU is needed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ |= {"VLLM_TARGET_DEVICE": "cpu", "VLLM_LOGGING_LEVEL": "ERROR", "VLLM_NO_USAGE_STATS": "1"}
sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from vllm.v1.core import kv_cache_utils
from vllm.v1.kv_cache_interface import (
    ChunkedLocalAttentionSpec,
    FullAttentionSpec,
    KVCacheSpec,
    MambaSpec,
    MLAAttentionSpec,
    SlidingWindowSpec,
)
from vllm.v1.kv_cache_layout import KVCacheLayout

from infra.catalog.devices import device_named
from infra.catalog.models import model_named, model_names
from infra.errors import SizingError
from infra.memory import EngineSettings
from infra.memory.budget import in_flight_tokens
from infra.memory.kv import CacheRules, cache_pages, cache_rules
from infra.memory.network import AttentionCache, LatentCache, StateCache
from infra.memory.pages import Page, build_pool
from infra.memory.replica import Replica, resolve_replica
from infra.memory.rules import check_replica, resolve_kv_dtype

POOL_BYTES = 40 << 30
CASES = ((1, 8192, 1), (2, 100_000, 1), (4, 32_768, 1), (8, 32_768, 2), (8, 50_001, 8))
"""Tensor parallelism, length and decode context parallelism."""


def specs(
    replica: Replica, rules: CacheRules, pages: list[tuple[int, Page]]
) -> Iterator[tuple[str, KVCacheSpec]]:
    """vLLM's own description of each layer's cache, from the same config."""
    number = torch.uint8 if rules.kv_element_bytes == 1 else torch.bfloat16
    for position, (index, page) in enumerate(pages):
        cache, name = replica.network.layers[index].cache, f"layers.{index}.{position}"
        if isinstance(cache, StateCache):
            shapes = tuple((part.elements // rules.ranks,) for part in cache.parts)
            dtypes = tuple(
                torch.float32 if part.element_bytes == 4 else torch.bfloat16 for part in cache.parts
            )
            yield (
                name,
                MambaSpec(
                    block_size=page.tokens,
                    shapes=shapes,
                    dtypes=dtypes,
                    page_size_padded=page.page_bytes,
                    num_prefill_checkpoint_blocks=page.states - 2,
                ),
            )
        elif isinstance(cache, LatentCache):
            is_index = position > 0 and pages[position - 1][0] == index
            size, kind = (
                (cache.index_dim + 4, torch.uint8)
                if is_index
                else (cache.latent_dim + cache.rope_dim, number)
            )
            packed = (
                {"state_content_bytes": 656}
                if rules.packed_latent and cache.index_dim and not is_index
                else {}
            )
            yield (
                name,
                MLAAttentionSpec(
                    block_size=page.tokens, num_kv_heads=1, head_size=size, dtype=kind, **packed
                ),
            )
        elif isinstance(cache, AttentionCache):
            yield name, _attention(cache, page, rules.ranks, number)


def _attention(cache: AttentionCache, page: Page, ranks: int, number: torch.dtype) -> KVCacheSpec:
    sizes: dict[str, Any] = {
        "block_size": page.tokens,
        "num_kv_heads": max(1, cache.kv_heads // ranks),
        "head_size": cache.key_dim,
        "head_size_v": cache.value_dim,
        "dtype": number,
    }
    if cache.window is not None:
        return SlidingWindowSpec(sliding_window=cache.window, **sizes)
    if cache.chunk is not None:
        return ChunkedLocalAttentionSpec(attention_chunk_size=cache.chunk, **sizes)
    return FullAttentionSpec(**sizes)


def vllm_config(replica: Replica) -> Any:
    """The few settings that the grouping reads."""
    length = replica.settings.max_model_len
    return SimpleNamespace(
        model_config=SimpleNamespace(max_model_len=length, original_max_model_len=length),
        scheduler_config=SimpleNamespace(disable_hybrid_kv_cache_manager=False),
        parallel_config=SimpleNamespace(
            decode_context_parallel_size=replica.settings.decode_context_parallel_size
        ),
        cache_config=SimpleNamespace(
            num_gpu_blocks_override=None,
            mamba_cache_mode="align",
            prefix_cache_retention_interval=None,
            get_resolved_kv_cache_layout=lambda: KVCacheLayout.LBNHC,
        ),
        attention_config=SimpleNamespace(hisparse_config=None),
        speculative_config=None,
        max_in_flight_tokens=in_flight_tokens(replica),
    )


def compare(replica: Replica) -> dict[str, Any]:
    """Blocks and tokens of the same pool by both."""
    rules = cache_rules(replica, resolve_kv_dtype(replica))
    pages = cache_pages(replica.network, rules)
    context_ranks = replica.settings.decode_context_parallel_size
    pool = build_pool(pages, replica.version, in_flight_tokens(replica), context_ranks)
    blocks = POOL_BYTES // pool.block_bytes(0, len(replica.network.layers))
    config = vllm_config(replica)
    groups = kv_cache_utils.get_kv_cache_groups(config, dict(specs(replica, rules, pages)))
    cache = kv_cache_utils.get_kv_cache_config_from_groups(config, groups, POOL_BYTES)
    tokens, _ = kv_cache_utils.get_kv_cache_capacity(config, cache)
    ours, _ = pool.logged(blocks, replica.settings.max_model_len)
    return {"vllm": [cache.num_blocks, tokens], "ours": [blocks, ours]}


for model in model_names():
    for ranks, length, context_ranks in CASES:
        settings = EngineSettings(
            max_model_len=length, tensor_parallel_size=ranks, decode_context_parallel_size=context_ranks
        )
        try:
            case = resolve_replica(model_named(model), device_named("H200"), settings)
            check_replica(case)
            name = f"{model} TP {ranks}, DCP {context_ranks}, {length} tokens"
            print(json.dumps({"case": name, **compare(case)}), flush=True)
        except SizingError:
            continue  # refused: there is nothing to compare
