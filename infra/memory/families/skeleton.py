"""What nearly every decoder shares: its sizes, its windows, and the embedding, norm and head around its layers."""

from __future__ import annotations

from dataclasses import dataclass

from infra.memory.config import Config
from infra.memory.families.blocks import Attention, embedding, output_head
from infra.memory.network import Layer, Network
from infra.memory.tensors import vector

_LAYER_KINDS = ("full_attention", "sliding_attention")


@dataclass(frozen=True)
class Dimensions:
    """The sizes nearly every decoder states."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int

    def attention(self, prefix: str) -> Attention:
        """The attention part of a layer of these sizes, without biases."""
        return Attention(
            prefix=prefix, hidden=self.hidden, heads=self.heads, kv_heads=self.kv_heads, key_dim=self.head_dim
        )

    @property
    def attention_work(self) -> int:
        """Features of queries, keys and values of one token."""
        return (self.heads + 2 * self.kv_heads) * self.head_dim


def dimensions(config: Config, optional: frozenset[str] = frozenset()) -> Dimensions:
    """Read the common sizes.

    In architectures whose own defaults say so (`optional`), key-value heads may be left out where they are as many as
    the heads, and the head size where it is hidden / heads; elsewhere their absence means something else.
    """
    hidden, heads = config.count("hidden_size"), config.count("num_attention_heads")
    for key in {"head_dim", "num_key_value_heads"} - optional:
        config.count(key)
    if not config.has("head_dim") and hidden % heads:
        raise config.error("head_dim", f"is missing, and {heads} heads do not divide hidden_size {hidden}")
    return Dimensions(
        hidden=hidden,
        layers=config.layers("num_hidden_layers"),
        heads=heads,
        kv_heads=config.count("num_key_value_heads", heads),
        head_dim=config.count("head_dim", hidden // heads),
        vocabulary=config.count("vocab_size"),
    )


def assemble(
    config: Config,
    size: Dimensions,
    layers: tuple[Layer, ...],
    prefix: str,
    *,
    tied: bool,
) -> Network:
    """Put embedding, final norm and head around the layers; rotary tables and towers are the caller's."""
    is_tied = config.flag("tie_word_embeddings", tied)
    head = () if is_tied else (output_head(size.vocabulary, size.hidden),)
    return Network(
        hidden=size.hidden,
        vocabulary=size.vocabulary,
        attention_heads=size.heads,
        max_positions=config.count(
            "max_position_embeddings" if config.has("max_position_embeddings") else "model_max_length"
        ),
        layers=layers,
        entry=(embedding(prefix + "embed_tokens", size.vocabulary, size.hidden),),
        exit=(vector(prefix + "norm", size.hidden), *head),
        dtype=model_dtype(config),
    )


def model_dtype(config: Config) -> str:
    """The data type the checkpoint states, under its old or its new key; bfloat16 where it states none."""
    return config.word("dtype" if config.has("dtype") else "torch_dtype", "bfloat16")


def layer_windows(config: Config, layers: int, window_every: int = 0) -> tuple[int | None, ...]:
    """The sliding window of each layer, None for full attention.

    A list in `layer_types` decides; without one, every `window_every`-th layer is full (Gemma), or layers from
    `max_window_layers` on have the window (Qwen with `use_sliding_window`), or all have it (Mistral 7B).
    """
    if window_every and not config.has("layer_types"):
        config.count("sliding_window")
    if not config.has("sliding_window") or not config.flag("use_sliding_window", True):
        return (None,) * layers
    window = config.count("sliding_window")
    if config.has("layer_types"):
        kinds = config.per_layer("layer_types", layers, _LAYER_KINDS)
        return tuple(window if kind == "sliding_attention" else None for kind in kinds)
    if window_every:
        every = config.count("sliding_window_pattern", window_every)
        return tuple(window if (index + 1) % every else None for index in range(layers))
    first = config.count("max_window_layers", 0, minimum=0) if config.has("use_sliding_window") else 0
    return tuple(window if index >= first else None for index in range(layers))
