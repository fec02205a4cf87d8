"""Qwen 3.5 and its kin: gated delta nets with full attention at every few layers, dense or with experts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from infra.memory.config import Config
from infra.memory.families import blocks
from infra.memory.families.skeleton import Dimensions, assemble, dimensions
from infra.memory.families.states import CHUNK_TOKENS, state_element_bytes
from infra.memory.network import AttentionCache, Cache, Layer, Network, StateCache, StatePart, Work
from infra.memory.rotary import rotary_tables
from infra.memory.tensors import Split, Tensor, linear, plain, vector


def build_qwen35(config: Config, prefix: str, *, tied: bool) -> Network:
    """Qwen 3.5 and its kin: every few layers full attention with an output gate, gated delta nets between."""
    size = dimensions(config)
    kinds = config.per_layer("layer_types", size.layers, ("full_attention", "linear_attention"))
    caches: dict[str, Cache] = {
        "full_attention": AttentionCache(size.kv_heads, size.head_dim, size.head_dim),
        "linear_attention": _delta_net_state(config) if "linear_attention" in kinds else StateCache(()),
    }
    layers = tuple(
        Layer(
            tensors=tuple(_qwen35_tensors(config, size, kind, f"{prefix}layers.{index}.")),
            cache=caches[kind],
            work=_qwen35_work(config, size, kind),
        )
        for index, kind in enumerate(kinds)
    )
    return replace(
        assemble(config, size, layers, prefix, tied=tied), rotary=rotary_tables(config, size.head_dim)
    )


def _qwen35_tensors(config: Config, size: Dimensions, kind: str, prefix: str) -> Iterator[Tensor]:
    if kind == "full_attention":
        gate = 2 if config.flag("attn_output_gate", True) else 1
        attention = prefix + "self_attn."
        yield from replace(size.attention(attention), query_factor=gate).tensors()
        yield vector(attention + "qk_norm", size.head_dim, 2)
    else:
        yield from _delta_net(prefix + "linear_attn.", config, size.hidden)
    if config.has("num_experts"):
        yield from _qwen_experts(prefix + "mlp.", config, size.hidden)
    else:
        yield from blocks.gated_mlp(prefix + "mlp.", size.hidden, config.count("intermediate_size"))
    yield blocks.norms(prefix, size.hidden, 2)


def _qwen_experts(prefix: str, config: Config, hidden: int) -> Iterator[Tensor]:
    count, features = config.count("num_experts"), config.count("moe_intermediate_size")
    yield plain(prefix + "gate", count, hidden)
    yield plain(prefix + "shared_expert_gate", 1, hidden)
    yield from blocks.Experts(
        prefix=prefix + "experts.", hidden=hidden, features=features, count=count
    ).tensors()
    yield from blocks.gated_mlp(
        prefix + "shared_expert.", hidden, config.count("shared_expert_intermediate_size")
    )


def _delta_net_sizes(config: Config) -> tuple[int, int, int, int]:
    key = config.count("linear_num_key_heads") * config.count("linear_key_head_dim")
    heads, dim = config.count("linear_num_value_heads"), config.count("linear_value_head_dim")
    return key, heads, dim, config.count("linear_conv_kernel_dim")


def _delta_net(prefix: str, config: Config, hidden: int) -> Iterator[Tensor]:
    key, heads, dim, kernel = _delta_net_sizes(config)
    yield from linear(
        prefix + "in_proj_qkv", (2 * key + heads * dim, hidden), Split.ROWS, into="in_proj_qkvz"
    )
    yield from linear(prefix + "in_proj_z", (heads * dim, hidden), Split.ROWS, into="in_proj_qkvz")
    for name in ("in_proj_b", "in_proj_a"):
        yield from linear(prefix + name, (heads, hidden), Split.ROWS, into="in_proj_ba")
    yield plain(prefix + "conv1d", 2 * key + heads * dim, kernel, Split.ROWS)
    yield from linear(prefix + "out_proj", (hidden, heads * dim), Split.COLUMNS)
    yield vector(prefix + "norm", dim + 3 * heads)


def _delta_net_state(config: Config) -> StateCache:
    key, heads, dim, kernel = _delta_net_sizes(config)
    state = heads * dim * config.count("linear_key_head_dim")
    width = state_element_bytes(config, "mamba_ssm_dtype")
    return StateCache((StatePart((kernel - 1) * (2 * key + heads * dim)), StatePart(state, width)))


def _qwen35_work(config: Config, size: Dimensions, kind: str) -> Work:
    attention = (2 * size.heads + 2 * size.kv_heads) * size.head_dim
    if kind == "linear_attention":
        key, heads, dim, _ = _delta_net_sizes(config)
        value = heads * dim
        projected, convolved, expanded = 2 * key + 2 * value, 2 * key + value, 3 * value
        attention = (
            projected + convolved + expanded + value * config.count("linear_key_head_dim") // CHUNK_TOKENS
        )
    if not config.has("num_experts"):
        return Work(attention, config.count("intermediate_size"))
    shared, features = (
        config.count(key) for key in ("shared_expert_intermediate_size", "moe_intermediate_size")
    )
    return Work(attention, shared, config.count("num_experts_per_tok"), features)
