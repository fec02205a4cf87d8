"""Decoders of the Llama line: grouped-query attention and a gated feed-forward part, dense or with experts.

Most published models are this plan with a few switches; `Traits` are those switches, one row per architecture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from infra.memory.config import Config
from infra.memory.families import blocks
from infra.memory.families.blocks import Experts
from infra.memory.families.skeleton import Dimensions, assemble, dimensions, layer_windows
from infra.memory.network import AttentionCache, Layer, Network, RotaryTable, Work
from infra.memory.rotary import rotary_tables
from infra.memory.tensors import Tensor, plain, vector


@dataclass(frozen=True)
class Traits:
    """What distinguishes one architecture from Llama.

    `qkv_bias`/`output_bias`: True, False, or the config key that decides. `qk_norm`: "" none, "head" one weight per
    head dimension, "full" one per feature. `window_every`: of how many layers one has full attention where the
    config does not list them (Gemma). `optional`: sizes that its configs may leave out. `expert_keys`: config keys of
    expert count and expert width; `shared_expert`: whether one more expert, which every token takes, must be stated.
    """

    qkv_bias: bool | str = False
    output_bias: bool | str = False
    mlp_bias: bool | str = False
    qk_norm: str = ""
    norms: int = 2
    tied: bool = False
    window_every: int = 0
    optional: frozenset[str] = frozenset({"head_dim"})
    expert_keys: tuple[str, ...] = ()
    shared_expert: bool = False
    expert_parent: str = "mlp."
    router_bytes: int | None = None


def build_decoder(
    config: Config, traits: Traits, prefix: str = "model.", *, tied: bool | None = None
) -> Network:
    """The network of a plain decoder. `tied` is what an enclosing multimodal config says, where it does."""
    size = dimensions(config, traits.optional)
    windows = layer_windows(config, size.layers, traits.window_every)
    layers = tuple(
        Layer(
            tensors=tuple(_layer_tensors(config, traits, size, index, f"{prefix}layers.{index}.")),
            cache=AttentionCache(size.kv_heads, size.head_dim, size.head_dim, window),
            work=_work(config, traits, size, index),
        )
        for index, window in enumerate(windows)
    )
    if traits.window_every and config.has("sliding_window_pattern"):
        config.count("sliding_window_pattern")
    rotary = rotary_tables(config, size.head_dim)
    if traits.window_every > 2:  # Gemma 3 turns its local layers with a table of their own, not scaled
        rotary = (*rotary, RotaryTable(config.count("max_position_embeddings"), size.head_dim))
    return replace(
        assemble(config, size, layers, prefix, tied=traits.tied if tied is None else tied), rotary=rotary
    )


def is_expert_layer(config: Config, index: int) -> bool:
    """Whether layer `index` has experts, by the keys of the Qwen line (all have where these are absent)."""
    every = config.count("decoder_sparse_step", 1)
    return index not in config.counts("mlp_only_layers", ()) and (index + 1) % every == 0


def _switch(config: Config, value: bool | str) -> bool:
    return config.flag(value, False) if isinstance(value, str) else value


def _layer_tensors(
    config: Config, traits: Traits, size: Dimensions, index: int, prefix: str
) -> Iterator[Tensor]:
    attention = prefix + "self_attn."
    heads = replace(
        size.attention(attention),
        bias=_switch(config, traits.qkv_bias),
        output_bias=_switch(config, traits.output_bias),
    )
    yield from heads.tensors()
    if traits.qk_norm == "head":
        yield vector(attention + "qk_norm", size.head_dim, 2)
    elif traits.qk_norm == "full":
        yield vector(attention + "qk_norm", (size.heads + size.kv_heads) * size.head_dim)
    if traits.expert_keys and is_expert_layer(config, index):
        yield from _expert_part(config, traits, size, prefix + traits.expert_parent)
    else:
        bias = _switch(config, traits.mlp_bias)
        yield from blocks.gated_mlp(
            prefix + "mlp.", size.hidden, config.count("intermediate_size"), bias=bias
        )
    yield blocks.norms(prefix, size.hidden, traits.norms)


def _expert_part(config: Config, traits: Traits, size: Dimensions, prefix: str) -> Iterator[Tensor]:
    count, features = (config.count(key) for key in traits.expert_keys)
    yield plain(prefix + "gate", count, size.hidden, element_bytes=traits.router_bytes)
    experts = Experts(prefix=prefix + "experts.", hidden=size.hidden, features=features, count=count)
    yield from experts.tensors()
    if shared := _shared_expert(config, traits):
        yield from blocks.gated_mlp(prefix + "shared_expert.", size.hidden, shared)
        yield plain(prefix + "shared_expert_gate", 1, size.hidden)


def _work(config: Config, traits: Traits, size: Dimensions, index: int) -> Work:
    attention = size.attention_work
    if not (traits.expert_keys and is_expert_layer(config, index)):
        return Work(attention, feedforward=config.count("intermediate_size"))
    shared = _shared_expert(config, traits)
    features = config.count(traits.expert_keys[1])
    return Work(attention, shared, config.count("num_experts_per_tok"), features)


def _shared_expert(config: Config, traits: Traits) -> int:
    """Width of the expert that every token takes: must be stated where the architecture has one."""
    key = "shared_expert_intermediate_size"
    return config.stated_count(key) if traits.shared_expert else config.count(key, 0, minimum=0)


Builder = Callable[[Config], Network]

_LLAMA = frozenset({"head_dim", "num_key_value_heads"})
_NONE: frozenset[str] = frozenset()

TRAITS: dict[str, Traits] = {
    "LlamaForCausalLM": Traits(
        optional=_LLAMA, qkv_bias="attention_bias", output_bias="attention_bias", mlp_bias="mlp_bias"
    ),
    "MistralForCausalLM": Traits(),
    "Qwen2ForCausalLM": Traits(qkv_bias=True),
    "Qwen3ForCausalLM": Traits(optional=_NONE, qkv_bias="attention_bias", qk_norm="head"),
    "MiMoForCausalLM": Traits(qkv_bias=True),
    "GemmaForCausalLM": Traits(optional=_NONE, tied=True),
    "Gemma2ForCausalLM": Traits(optional=_NONE, norms=4, tied=True, window_every=2),
    "Gemma3ForCausalLM": Traits(optional=_NONE, qk_norm="head", norms=4, tied=True, window_every=6),
    "GraniteForCausalLM": Traits(
        optional=_LLAMA, qkv_bias="attention_bias", output_bias="attention_bias", mlp_bias="mlp_bias"
    ),
    "SDARForCausalLM": Traits(optional=_NONE, qkv_bias="attention_bias", qk_norm="head"),
    "Phi3ForCausalLM": Traits(),
    "MixtralForCausalLM": Traits(
        expert_keys=("num_local_experts", "intermediate_size"), expert_parent="block_sparse_moe."
    ),
    "Qwen2MoeForCausalLM": Traits(
        shared_expert=True, qkv_bias=True, expert_keys=("num_experts", "moe_intermediate_size")
    ),
    "Qwen3MoeForCausalLM": Traits(
        qkv_bias="attention_bias", qk_norm="head", expert_keys=("num_experts", "moe_intermediate_size")
    ),
    "MiniMaxM2ForCausalLM": Traits(
        qk_norm="full",
        expert_keys=("num_local_experts", "intermediate_size"),
        expert_parent="block_sparse_moe.",
        router_bytes=4,
    ),
}
