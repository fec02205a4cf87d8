"""MiMo-V2-Flash: windowed layers with head counts of their own, keys wider than values, experts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from infra.memory.config import Config
from infra.memory.families import blocks
from infra.memory.families.latent import routed_experts
from infra.memory.families.skeleton import Dimensions, assemble, dimensions
from infra.memory.network import AttentionCache, Layer, Network, Work
from infra.memory.rotary import rotary_tables
from infra.memory.tensors import Split, Tensor, vector


def build_mimo_v2(config: Config) -> Network:
    """The network of MiMo-V2-Flash; `hybrid_layer_pattern` and `moe_layer_freq` say which layers are which."""
    size = dimensions(config)
    windowed, sparse = config.counts("hybrid_layer_pattern"), config.counts("moe_layer_freq")
    for key, flags in (("hybrid_layer_pattern", windowed), ("moe_layer_freq", sparse)):
        if len(flags) != size.layers:
            raise config.error(key, f"names {len(flags)} layers where the model has {size.layers}")
    layers = tuple(
        _layer(
            config, _local(config, size) if local else size, index, window=bool(local), experts=bool(experts)
        )
        for index, (local, experts) in enumerate(zip(windowed, sparse, strict=True))
    )
    network = assemble(config, size, layers, "model.", tied=False)
    return replace(network, rotary=rotary_tables(config, size.head_dim))


def _local(config: Config, size: Dimensions) -> Dimensions:
    """The sizes of a windowed layer."""
    return replace(
        size,
        heads=config.count("swa_num_attention_heads"),
        kv_heads=config.count("swa_num_key_value_heads"),
        head_dim=config.count("swa_head_dim"),
    )


def _layer(config: Config, size: Dimensions, index: int, *, window: bool, experts: bool) -> Layer:
    value_dim = config.count("swa_v_head_dim" if window else "v_head_dim")
    attention = size.heads * size.head_dim + size.kv_heads * (size.head_dim + value_dim)
    sinks = config.flag("add_swa_attention_sink_bias" if window else "add_full_attention_sink_bias", False)
    prefix = f"model.layers.{index}."
    tensors = [*replace(size.attention(prefix + "self_attn."), value_dim=value_dim).tensors()]
    if sinks:
        tensors.append(vector(prefix + "self_attn.attention_sink_bias", size.heads, split=Split.ROWS))
    return Layer(
        tensors=(*tensors, *_feedforward(config, size.hidden, prefix, experts=experts)),
        cache=AttentionCache(
            size.kv_heads, size.head_dim, value_dim, config.count("sliding_window") if window else None
        ),
        work=_work(config, attention, experts=experts),
    )


def _feedforward(config: Config, hidden: int, prefix: str, *, experts: bool) -> Iterator[Tensor]:
    if experts:
        yield from routed_experts(prefix + "mlp.", config, hidden, "n_routed_experts", "n_shared_experts")
    else:
        yield from blocks.gated_mlp(prefix + "mlp.", hidden, config.count("intermediate_size"))
    yield blocks.norms(prefix, hidden, 2)


def _work(config: Config, attention: int, *, experts: bool) -> Work:
    if not experts:
        return Work(attention, config.count("intermediate_size"))
    return Work(attention, 0, config.count("num_experts_per_tok"), config.count("moe_intermediate_size"))
