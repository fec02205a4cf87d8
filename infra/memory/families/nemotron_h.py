"""Nemotron-H: each layer is one block, a Mamba 2 mixer, attention, experts or a plain feed-forward part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from infra.memory.config import Config
from infra.memory.families import blocks
from infra.memory.families.skeleton import Dimensions, assemble
from infra.memory.families.states import state_element_bytes
from infra.memory.network import AttentionCache, Cache, Layer, Network, StateCache, StatePart, Work
from infra.memory.tensors import Split, Tensor, linear, plain, vector

_PATTERN = {"M": "mamba", "*": "attention", "E": "moe", "-": "mlp"}


def build_nemotron_h(config: Config) -> Network:
    """Nemotron-H: each layer is one block, a Mamba 2 mixer, attention, experts or a plain feed-forward part."""
    kinds = _nemotron_kinds(config)
    size = Dimensions(
        hidden=config.count("hidden_size"),
        layers=len(kinds),
        heads=config.count("num_attention_heads"),
        kv_heads=config.count("num_key_value_heads"),
        head_dim=config.count("head_dim" if config.has("head_dim") else "attention_head_dim"),
        vocabulary=config.count("vocab_size"),
    )
    caches: dict[str, Cache | None] = {
        "mamba": _mamba_state(config) if "mamba" in kinds else None,
        "attention": AttentionCache(size.kv_heads, size.head_dim, size.head_dim),
    }
    layers = tuple(
        Layer(
            tensors=tuple(_nemotron_tensors(config, size, kind, f"backbone.layers.{index}.mixer.")),
            cache=caches.get(kind),
            work=_nemotron_work(config, size, kind),
        )
        for index, kind in enumerate(kinds)
    )
    return assemble(config, size, layers, "backbone.", tied=False)


def _nemotron_kinds(config: Config) -> tuple[str, ...]:
    if config.has("layers_block_type"):
        kinds = config.words("layers_block_type")
        return config.per_layer("layers_block_type", len(kinds), tuple(_PATTERN.values()))
    layers, pattern = config.layers("num_hidden_layers"), config.word("hybrid_override_pattern")
    if len(pattern) != layers or set(pattern) - set(_PATTERN):
        raise config.error("hybrid_override_pattern", f"must be {layers} letters out of {' '.join(_PATTERN)}")
    return tuple(_PATTERN[letter] for letter in pattern)


def _nemotron_tensors(config: Config, size: Dimensions, kind: str, prefix: str) -> Iterator[Tensor]:
    bias = config.flag("use_bias", False)
    if kind == "mamba":
        yield from _mamba_mixer(prefix, config, size.hidden)
    elif kind == "attention":
        yield from replace(size.attention(prefix), bias=config.flag("attention_bias", False)).tensors()
    elif kind == "mlp":
        yield from _plain_mlp(prefix, size.hidden, config.count("intermediate_size"), bias=bias)
    else:
        yield from _nemotron_experts(prefix, config, size.hidden)
    yield blocks.norms(prefix, size.hidden, 1)


def _nemotron_experts(prefix: str, config: Config, hidden: int) -> Iterator[Tensor]:
    count, features = config.count("n_routed_experts"), config.count("moe_intermediate_size")
    latent = config.count("moe_latent_size", hidden)
    yield plain(prefix + "gate", count, hidden, element_bytes=4)
    if config.has("moe_latent_size"):
        yield from linear(prefix + "fc1_latent_proj", (latent, hidden), Split.WHOLE)
        yield from linear(prefix + "fc2_latent_proj", (hidden, latent), Split.WHOLE)
    yield from blocks.Experts(
        prefix=prefix + "experts.", hidden=latent, features=features, count=count, gated=False
    ).tensors()
    if shared := config.count("n_shared_experts", 0, minimum=0):
        width = config.count("moe_shared_expert_intermediate_size") * shared
        yield from _plain_mlp(prefix + "shared_experts.", hidden, width, bias=False)


def _plain_mlp(prefix: str, hidden: int, features: int, *, bias: bool) -> Iterator[Tensor]:
    yield from blocks.plain_mlp(prefix + "up_proj", prefix + "down_proj", hidden, features, bias=bias)


def _mamba_sizes(config: Config) -> tuple[int, int, int, int]:
    heads = config.count("mamba_num_heads")
    inner = heads * config.count("mamba_head_dim")
    return (
        heads,
        inner,
        config.count("n_groups") * config.count("ssm_state_size"),
        config.count("conv_kernel"),
    )


def _mamba_mixer(prefix: str, config: Config, hidden: int) -> Iterator[Tensor]:
    heads, inner, grouped, kernel = _mamba_sizes(config)
    conv = inner + 2 * grouped
    yield from linear(prefix + "in_proj", (inner + conv + heads, hidden), Split.ROWS)
    yield plain(prefix + "conv1d", conv, kernel, Split.ROWS)
    yield vector(prefix + "conv1d.bias", conv, split=Split.ROWS)
    yield from linear(prefix + "out_proj", (hidden, inner), Split.COLUMNS)
    yield vector(prefix + "norm", inner, split=Split.ROWS)
    yield vector(prefix + "A_D_dt_bias", heads, 3, Split.ROWS, element_bytes=4)


_UNSTATED_STATE_BYTES = 4  # from 0.20 on; float16 before, so that older versions hold more than is said


def _mamba_state(config: Config) -> StateCache:
    heads, inner, grouped, kernel = _mamba_sizes(config)
    state = heads * config.count("mamba_head_dim") * config.count("ssm_state_size")
    width = state_element_bytes(config, "mamba_ssm_cache_dtype") or _UNSTATED_STATE_BYTES
    parts = (StatePart((kernel - 1) * (inner + 2 * grouped)), StatePart(state, width))
    return StateCache(parts, exported=True)


def _nemotron_work(config: Config, size: Dimensions, kind: str) -> Work:
    if kind == "mamba":
        _, inner, grouped, _ = _mamba_sizes(config)
        states = 2 * inner * config.count("ssm_state_size") // config.count("chunk_size", 128)
        return Work(attention=3 * inner + 4 * grouped + states)
    if kind == "attention":
        return Work(attention=size.attention_work)
    if kind == "mlp":
        return Work(feedforward=config.count("intermediate_size"))
    shared = config.count("moe_shared_expert_intermediate_size", 0, minimum=0)
    return Work(0, shared, config.count("num_experts_per_tok"), config.count("moe_intermediate_size"))
