"""gpt-oss: attention sinks, biases everywhere, experts with biases, every other layer windowed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from infra.memory.config import Config
from infra.memory.families import blocks
from infra.memory.families.skeleton import assemble, dimensions, layer_windows
from infra.memory.network import AttentionCache, Layer, Network, Work
from infra.memory.rotary import rotary_tables
from infra.memory.tensors import Split, Tensor, plain, vector


def build_gpt_oss(config: Config) -> Network:
    """gpt-oss: attention sinks, biases everywhere, experts with biases, every other layer windowed."""
    size = dimensions(config)
    windows = layer_windows(config, size.layers)
    count, features = config.count("num_local_experts"), config.count("intermediate_size")
    work = Work(
        size.attention_work,
        experts_per_token=config.count("num_experts_per_tok"),
        expert_features=features,
    )

    def tensors(prefix: str) -> Iterator[Tensor]:
        yield from replace(size.attention(prefix + "self_attn."), bias=True, output_bias=True).tensors()
        yield vector(prefix + "self_attn.sinks", size.heads, split=Split.ROWS)
        yield plain(prefix + "mlp.router", count, size.hidden + 1)
        yield from blocks.Experts(
            prefix=prefix + "mlp.experts.", hidden=size.hidden, features=features, count=count, bias=True
        ).tensors()
        yield blocks.norms(prefix, size.hidden, 2)

    layers = tuple(
        Layer(
            tuple(tensors(f"model.layers.{index}.")),
            AttentionCache(size.kv_heads, size.head_dim, size.head_dim, window),
            work,
        )
        for index, window in enumerate(windows)
    )
    return replace(
        assemble(config, size, layers, "model.", tied=False), rotary=rotary_tables(config, size.head_dim)
    )
