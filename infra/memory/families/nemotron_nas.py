"""Llama-Nemotron Super and Ultra: a search chose per layer the group size and the width, or dropped the part."""

from __future__ import annotations

from dataclasses import replace

from infra.memory.config import Config
from infra.memory.families import blocks
from infra.memory.families.skeleton import Dimensions, assemble
from infra.memory.network import AttentionCache, Layer, Network, Work
from infra.memory.rotary import rotary_tables
from infra.memory.tensors import Tensor


def build_nemotron_nas(config: Config) -> Network:
    """Llama-Nemotron Super and Ultra: a search chose per layer the group size and the width, or dropped the part."""
    hidden, heads = config.count("hidden_size"), config.count("num_attention_heads")
    head_dim = config.count("head_dim", hidden // heads)
    plans = config.facts.get("block_configs")
    config.has("block_configs")
    if not isinstance(plans, list) or not plans or not all(isinstance(plan, dict) for plan in plans):
        raise config.error("block_configs", "must list one object per layer")
    size = Dimensions(
        hidden, config.layers("num_hidden_layers"), heads, heads, head_dim, config.count("vocab_size")
    )
    if len(plans) != size.layers:
        raise config.error("block_configs", f"names {len(plans)} layers where the model has {size.layers}")
    layers = tuple(
        _nas_layer(Config(plan, f"block_configs[{index}].", config.read), size, f"model.layers.{index}.")
        for index, plan in enumerate(plans)
    )
    return replace(
        assemble(config, size, layers, "model.", tied=False), rotary=rotary_tables(config, head_dim)
    )


def _nas_layer(plan: Config, size: Dimensions, prefix: str) -> Layer:
    attention, feedforward = plan.section("attention"), plan.section("ffn")
    for part in (attention, feedforward):
        if part.flag("replace_with_linear", False):
            raise part.error("replace_with_linear", "a layer replaced by one matrix is not understood")
    tensors: list[Tensor] = [blocks.norms(prefix, size.hidden, 2)]
    cache, work = None, Work()
    if not attention.flag("no_op", False):
        kv_heads = size.heads // attention.count("n_heads_in_group")
        cache = AttentionCache(kv_heads, size.head_dim, size.head_dim)
        work = Work((size.heads + 2 * kv_heads) * size.head_dim)
        tensors.extend(replace(size.attention(prefix + "self_attn."), kv_heads=kv_heads).tensors())
    if not feedforward.flag("no_op", False):
        features = _nas_width(feedforward.number("ffn_mult"), size.hidden)
        work = replace(work, feedforward=features)
        tensors.extend(blocks.gated_mlp(prefix + "mlp.", size.hidden, features))
    return Layer(tuple(tensors), cache, work)


def _nas_width(multiplier: float, hidden: int) -> int:
    """Two thirds of `multiplier` times the width, rounded up to 256 (the rule of the published modeling code)."""
    return -(-int(2 * multiplier * hidden / 3) // 256) * 256
