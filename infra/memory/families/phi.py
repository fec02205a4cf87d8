"""Phi-2: plain feed-forward parts, biases everywhere, also on the output head."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from infra.memory.config import Config
from infra.memory.families import blocks
from infra.memory.families.skeleton import assemble, dimensions
from infra.memory.network import AttentionCache, Layer, Network, Work
from infra.memory.rotary import rotary_tables
from infra.memory.tensors import Split, Tensor, vector


def build_phi(config: Config) -> Network:
    """Phi-2: plain feed-forward parts, biases everywhere, also on the output head."""
    size = dimensions(config, frozenset({"head_dim", "num_key_value_heads"}))
    features = config.count("intermediate_size")

    def tensors(prefix: str) -> Iterator[Tensor]:
        attention = size.attention(prefix + "self_attn.")
        yield from replace(attention, bias=True, output_bias=True, output="dense").tensors()
        yield from blocks.plain_mlp(prefix + "mlp.fc1", prefix + "mlp.fc2", size.hidden, features, bias=True)
        yield blocks.norms(prefix, size.hidden, 2)

    cache = AttentionCache(size.kv_heads, size.head_dim, size.head_dim)
    work = Work(size.attention_work, features)
    layers = tuple(
        Layer(tuple(tensors(f"model.layers.{index}.")), cache, work) for index in range(size.layers)
    )
    network = replace(
        assemble(config, size, layers, "model.", tied=False), rotary=rotary_tables(config, size.head_dim)
    )
    head_bias = vector("lm_head.bias", size.vocabulary, split=Split.VOCABULARY)
    return replace(
        network, exit=(*network.exit, vector("model.final_layernorm.bias", size.hidden), head_bias)
    )
