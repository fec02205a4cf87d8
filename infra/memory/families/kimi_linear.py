"""Kimi Linear: MLA on a few listed layers, Kimi delta attention on the others, experts."""

from __future__ import annotations

from collections.abc import Iterator

from infra.memory.config import Config
from infra.memory.families import blocks
from infra.memory.families.latent import is_dense, latent_attention, latent_cache, routed_experts
from infra.memory.families.skeleton import Dimensions, assemble
from infra.memory.network import Layer, Network, StateCache, StatePart, Work
from infra.memory.tensors import Split, Tensor, linear, plain


def build_kimi_linear(config: Config, prefix: str = "model.", *, tied: bool = False) -> Network:
    """Kimi Linear: MLA on the listed layers (counted from 1), Kimi delta attention on the others."""
    linear_attention = config.section("linear_attn_config")
    size = Dimensions(
        hidden=config.count("hidden_size"),
        layers=config.layers("num_hidden_layers"),
        heads=config.count("num_attention_heads"),
        kv_heads=1,
        head_dim=config.count("qk_rope_head_dim"),
        vocabulary=config.count("vocab_size"),
    )
    full = set(linear_attention.counts("full_attn_layers"))
    latent, state = latent_cache(config), _kda_state(linear_attention)
    layers = tuple(
        Layer(
            tensors=(
                *_kimi_attention(config, size, f"{prefix}layers.{index}.self_attn.", full=index + 1 in full),
                *_kimi_feedforward(config, size, index, f"{prefix}layers.{index}."),
            ),
            cache=latent if index + 1 in full else state,
            work=_kimi_work(config, size, index),
        )
        for index in range(size.layers)
    )
    return assemble(config, size, layers, prefix, tied=tied)


def _kimi_attention(config: Config, size: Dimensions, prefix: str, *, full: bool) -> Iterator[Tensor]:
    if full:
        yield from latent_attention(prefix, config, size.hidden, size.heads)
    else:
        yield from _kimi_delta(prefix, config.section("linear_attn_config"), size.hidden)


def _kimi_feedforward(config: Config, size: Dimensions, index: int, prefix: str) -> Iterator[Tensor]:
    if is_dense(config, index):
        yield from blocks.gated_mlp(prefix + "mlp.", size.hidden, config.count("intermediate_size"))
    else:
        parent = prefix + "block_sparse_moe."
        yield from routed_experts(parent, config, size.hidden, "num_experts", "num_shared_experts")
    yield blocks.norms(prefix, size.hidden, 2)


def _kimi_delta(prefix: str, config: Config, hidden: int) -> Iterator[Tensor]:
    heads, dim = config.count("num_heads"), config.count("head_dim")
    for name in ("q", "k", "v"):
        yield from linear(f"{prefix}{name}_proj", (heads * dim, hidden), Split.ROWS)
        yield plain(f"{prefix}{name}_conv1d", heads * dim, config.count("short_conv_kernel_size"), Split.ROWS)
    yield from linear(prefix + "o_proj", (hidden, heads * dim), Split.COLUMNS)
    for name in ("f", "g"):
        yield from linear(f"{prefix}{name}_a_proj", (dim, hidden), Split.WHOLE)
        yield from linear(f"{prefix}{name}_b_proj", (heads * dim, dim), Split.ROWS)
    yield from linear(prefix + "b_proj", (heads, hidden), Split.ROWS)


def _kda_state(config: Config) -> StateCache:
    heads, dim, kernel = (config.count(key) for key in ("num_heads", "head_dim", "short_conv_kernel_size"))
    conv = StatePart((kernel - 1) * heads * dim)
    return StateCache((conv, conv, conv, StatePart(heads * dim * dim, 4)))


def _kimi_work(config: Config, size: Dimensions, index: int) -> Work:
    attention = size.heads * (config.count("qk_nope_head_dim") + config.count("qk_rope_head_dim"))
    if is_dense(config, index):
        return Work(attention, config.count("intermediate_size"))
    features = config.count("moe_intermediate_size")
    shared = features * config.stated_count("num_shared_experts")
    return Work(attention, shared, config.count("num_experts_per_token"), features)
