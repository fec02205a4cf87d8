"""Gemma 4: local and global layers with head sizes of their own, experts beside a dense part, per-layer inputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from infra.memory.config import Config
from infra.memory.families import blocks
from infra.memory.families.skeleton import Dimensions, assemble, dimensions
from infra.memory.network import AttentionCache, Layer, Network, Work
from infra.memory.rotary import rotary_tables
from infra.memory.tensors import Split, Tensor, linear, plain, vector


def build_gemma4(config: Config, prefix: str, *, tied: bool) -> Network:
    """The language model of Gemma 4; its last `num_kv_shared_layers` layers reuse an earlier layer's cache."""
    size = dimensions(config)
    kinds = config.per_layer("layer_types", size.layers, ("full_attention", "sliding_attention"))
    caches = {
        "sliding_attention": AttentionCache(
            size.kv_heads, size.head_dim, size.head_dim, config.count("sliding_window")
        ),
        "full_attention": _global_cache(config, size),
    }
    first_shared = size.layers - config.stated_count("num_kv_shared_layers")
    layers = tuple(
        Layer(
            tensors=tuple(_layer_tensors(config, size, caches[kind], f"{prefix}layers.{index}.")),
            cache=caches[kind] if index < first_shared else None,
            work=_work(config, size, caches[kind]),
        )
        for index, kind in enumerate(kinds)
    )
    rotary = rotary_tables(config, size.head_dim, wide_dim=config.count("global_head_dim"))
    network = replace(assemble(config, size, layers, prefix, tied=tied), rotary=rotary)
    return replace(network, entry=(*network.entry, *_per_layer_inputs(config, size, prefix)))


def _global_cache(config: Config, size: Dimensions) -> AttentionCache:
    kv_heads = size.kv_heads
    if config.flag("attention_k_eq_v"):
        kv_heads = config.count("num_global_key_value_heads", kv_heads)
    dim = config.count("global_head_dim")
    return AttentionCache(kv_heads, dim, dim)


def _layer_tensors(config: Config, size: Dimensions, cache: AttentionCache, prefix: str) -> Iterator[Tensor]:
    attention = prefix + "self_attn."
    heads = replace(
        size.attention(attention),
        kv_heads=cache.kv_heads,
        key_dim=cache.key_dim,
        shared_value=cache.window is None and config.flag("attention_k_eq_v"),
    )
    yield from heads.tensors()
    yield vector(attention + "qk_norm", cache.key_dim, 2)
    yield from blocks.gated_mlp(prefix + "mlp.", size.hidden, config.count("intermediate_size"))
    norms = 4
    if config.flag("enable_moe_block"):
        norms = 7
        count = config.count("num_experts")
        yield plain(prefix + "router.proj", count, size.hidden)
        features = config.count("moe_intermediate_size")
        experts = blocks.Experts(
            prefix=prefix + "experts.", hidden=size.hidden, features=features, count=count
        )
        yield from experts.tensors()
    if width := config.stated_count("hidden_size_per_layer_input"):
        norms = 5
        yield from linear(prefix + "per_layer_input_gate", (width, size.hidden), Split.WHOLE)
        yield from linear(prefix + "per_layer_projection", (size.hidden, width), Split.WHOLE)
    yield blocks.norms(prefix, size.hidden, norms)


def _per_layer_inputs(config: Config, size: Dimensions, prefix: str) -> Iterator[Tensor]:
    if width := config.stated_count("hidden_size_per_layer_input"):
        features = width * size.layers
        yield blocks.embedding(
            prefix + "embed_tokens_per_layer", config.count("vocab_size_per_layer_input"), features
        )
        yield from linear(prefix + "per_layer_model_projection", (features, size.hidden), Split.WHOLE)


def _work(config: Config, size: Dimensions, cache: AttentionCache) -> Work:
    attention = (size.heads + 2 * cache.kv_heads) * cache.key_dim
    dense = config.count("intermediate_size")
    if not config.flag("enable_moe_block"):
        return Work(attention, dense)
    return Work(attention, dense, config.count("top_k_experts"), config.count("moe_intermediate_size"))
