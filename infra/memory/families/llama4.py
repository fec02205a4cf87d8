"""Llama 4: layers that attend within chunks, layers that see everything, experts with a shared one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from infra.memory.config import Config
from infra.memory.families import blocks
from infra.memory.families.skeleton import Dimensions, assemble, dimensions
from infra.memory.network import AttentionCache, Layer, Network, Work
from infra.memory.rotary import rotary_tables
from infra.memory.tensors import Tensor, plain


def build_llama4(config: Config, prefix: str, *, tied: bool) -> Network:
    """Llama 4: three layers attend within chunks and turn, every fourth sees everything and does not.

    `no_rope_layers` lists the layers with rotary positions (1), which are the chunked ones; where it is absent the
    class default, every fourth layer without, holds. Experts stand in every `interleave_moe_layer_step`-th layer.
    """
    size = dimensions(config)
    default = tuple(int((index + 1) % 4 != 0) for index in range(size.layers))
    chunked = config.counts("no_rope_layers", default) or default
    if len(chunked) != size.layers:
        raise config.error("no_rope_layers", f"names {len(chunked)} layers where the model has {size.layers}")
    chunk = config.count("attention_chunk_size")
    step = config.count("interleave_moe_layer_step")
    layers = tuple(
        Layer(
            tensors=tuple(_llama4_tensors(config, size, f"{prefix}layers.{index}.", (index + 1) % step == 0)),
            cache=AttentionCache(size.kv_heads, size.head_dim, size.head_dim, chunk=chunk if local else None),
            work=_llama4_work(config, size, (index + 1) % step == 0),
        )
        for index, local in enumerate(chunked)
    )
    return replace(
        assemble(config, size, layers, prefix, tied=tied), rotary=rotary_tables(config, size.head_dim)
    )


def _llama4_tensors(config: Config, size: Dimensions, prefix: str, sparse: bool) -> Iterator[Tensor]:
    yield from size.attention(prefix + "self_attn.").tensors()
    parent = prefix + "feed_forward."
    if sparse:
        count, features = config.count("num_local_experts"), config.count("intermediate_size")
        yield plain(parent + "router", count, size.hidden)
        yield from blocks.Experts(
            prefix=parent + "experts.", hidden=size.hidden, features=features, count=count
        ).tensors()
        yield from blocks.gated_mlp(parent + "shared_expert.", size.hidden, features)
    else:
        yield from blocks.gated_mlp(parent, size.hidden, config.count("intermediate_size_mlp"))
    yield blocks.norms(prefix, size.hidden, 2)


def _llama4_work(config: Config, size: Dimensions, sparse: bool) -> Work:
    attention = size.attention_work
    if not sparse:
        return Work(attention, config.count("intermediate_size_mlp"))
    features = config.count("intermediate_size")
    return Work(attention, features, config.count("num_experts_per_tok"), features)
