"""Laguna: head counts and windows by layer, gated attention, experts with a shared one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from infra.memory.config import Config
from infra.memory.families import blocks
from infra.memory.families.latent import is_dense
from infra.memory.families.skeleton import Dimensions, assemble, dimensions, layer_windows
from infra.memory.network import AttentionCache, Layer, Network, Work
from infra.memory.rotary import rotary_tables
from infra.memory.tensors import Split, Tensor, linear, plain, vector


def build_laguna(config: Config) -> Network:
    """Laguna: head counts by layer, gated attention, windows by layer, experts with a shared one."""
    size = dimensions(config)
    windows = layer_windows(config, size.layers)
    heads = config.counts("num_attention_heads_per_layer", (size.heads,) * size.layers)
    if len(heads) != size.layers:
        raise config.error("num_attention_heads_per_layer", f"names {len(heads)} layers of {size.layers}")
    dense = [
        index
        for index in range(size.layers)
        if is_dense(config, index) or index in config.counts("mlp_only_layers", ())
    ]
    layers = tuple(
        Layer(
            tensors=tuple(
                _laguna_tensors(
                    config, replace(size, heads=heads[index]), f"model.layers.{index}.", index in dense
                )
            ),
            cache=AttentionCache(size.kv_heads, size.head_dim, size.head_dim, window),
            work=_laguna_work(config, replace(size, heads=heads[index]), index in dense),
        )
        for index, window in enumerate(windows)
    )
    return replace(
        assemble(config, size, layers, "model.", tied=False), rotary=rotary_tables(config, size.head_dim)
    )


def _laguna_tensors(config: Config, size: Dimensions, prefix: str, dense: bool) -> Iterator[Tensor]:
    attention, mlp = prefix + "self_attn.", prefix + "mlp."
    yield from size.attention(attention).tensors()
    yield from linear(attention + "g_proj", (size.heads, size.hidden), Split.ROWS)
    yield vector(attention + "qk_norm", size.head_dim, 2)
    if dense:
        yield from blocks.gated_mlp(mlp, size.hidden, config.count("intermediate_size"))
    else:
        count = config.count("num_experts")
        yield plain(mlp + "gate", count, size.hidden + 1)
        yield from blocks.Experts(
            prefix=mlp + "experts.",
            hidden=size.hidden,
            features=config.count("moe_intermediate_size"),
            count=count,
        ).tensors()
        shared = config.count("shared_expert_intermediate_size")
        yield from blocks.gated_mlp(mlp + "shared_expert.", size.hidden, shared)
    yield blocks.norms(prefix, size.hidden, 2)


def _laguna_work(config: Config, size: Dimensions, dense: bool) -> Work:
    attention = size.attention_work
    if dense:
        return Work(attention, config.count("intermediate_size"))
    shared, features = (
        config.count(key) for key in ("shared_expert_intermediate_size", "moe_intermediate_size")
    )
    return Work(attention, shared, config.count("num_experts_per_tok"), features)
