"""DeepSeek's line: multi-head latent attention and experts (DeepSeek V2 and V3, Kimi K2, GLM 5 with a sparse index)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from infra.memory.config import Config
from infra.memory.families import blocks
from infra.memory.families.skeleton import Dimensions, assemble
from infra.memory.network import LatentCache, Layer, Network, Work
from infra.memory.rotary import rotary_tables
from infra.memory.tensors import Split, Tensor, linear, plain, vector


def build_latent(config: Config, prefix: str = "model.", *, tied: bool = False) -> Network:
    """The network of a DeepSeek-style model; with `index_topk` every layer keeps the sparse index's keys too."""
    size = _dimensions(config)
    index_dim = config.count("index_head_dim") if config.has("index_topk") else 0
    indexed = _indexed_layers(config, size.layers) if index_dim else (False,) * size.layers
    cache = {flag: latent_cache(config, index_dim if flag else 0) for flag in (True, False)}
    layers = tuple(
        Layer(
            tensors=tuple(
                _layer_tensors(config, size, index, f"{prefix}layers.{index}.", indexed=indexed[index])
            ),
            cache=cache[indexed[index]],
            work=_work(config, size, index),
        )
        for index in range(size.layers)
    )
    network = assemble(config, size, layers, prefix, tied=tied)
    return replace(network, rotary=rotary_tables(config, size.head_dim))


def latent_cache(config: Config, index_dim: int = 0) -> LatentCache:
    """What one MLA layer keeps per token."""
    return LatentCache(config.count("kv_lora_rank"), config.count("qk_rope_head_dim"), index_dim)


def latent_attention(prefix: str, config: Config, hidden: int, heads: int) -> Iterator[Tensor]:
    """MLA's projections: the down projections whole on every rank, the up projections divided by heads.

    The engine keeps W_UK and W_UV, the unpacked halves of kv_b_proj, beside it; quantized checkpoints too, in the
    model's own type (found in the start log of DeepSeek-V2-Lite: 0.10 GiB).
    """
    nope, rope, value = (config.count(key) for key in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"))
    latent = config.count("kv_lora_rank")
    if config.states("q_lora_rank"):
        rank = config.count("q_lora_rank")
        yield from linear(prefix + "q_a_proj", (rank, hidden), Split.WHOLE, into="fused_qkv_a_proj")
        yield vector(prefix + "q_a_layernorm", rank)
        yield from linear(prefix + "q_b_proj", (heads * (nope + rope), rank), Split.ROWS)
    else:
        yield from linear(prefix + "q_proj", (heads * (nope + rope), hidden), Split.ROWS)
    yield from linear(
        prefix + "kv_a_proj_with_mqa", (latent + rope, hidden), Split.WHOLE, into="fused_qkv_a_proj"
    )
    yield vector(prefix + "kv_a_layernorm", latent)
    yield from linear(prefix + "kv_b_proj", (heads * (nope + value), latent), Split.ROWS)
    for name, rows in (("W_UK", heads * nope), ("W_UV", heads * value)):
        yield replace(plain(prefix + name, rows, latent, Split.ROWS), derived=True)
    yield from linear(prefix + "o_proj", (hidden, heads * value), Split.COLUMNS)


def sparse_index(prefix: str, config: Config, hidden: int) -> Iterator[Tensor]:
    """DeepSeek-V3.2's lightning indexer, whole on every rank; its head weights stay unquantized."""
    heads, dim = config.count("index_n_heads"), config.count("index_head_dim")
    yield from linear(prefix + "wq_b", (heads * dim, config.count("q_lora_rank")), Split.WHOLE)
    yield from linear(prefix + "wk", (dim, hidden), Split.WHOLE)
    yield plain(prefix + "weights_proj", heads, hidden)
    yield vector(prefix + "k_norm", dim, 2)


def routed_experts(
    prefix: str, config: Config, hidden: int, count_key: str, shared_key: str
) -> Iterator[Tensor]:
    """A router, the routed experts and the shared ones."""
    count, features = config.count(count_key), config.count("moe_intermediate_size")
    yield plain(prefix + "gate", count, hidden)
    yield from blocks.Experts(
        prefix=prefix + "experts.", hidden=hidden, features=features, count=count
    ).tensors()
    if shared := config.stated_count(shared_key):
        yield from blocks.gated_mlp(prefix + "shared_experts.", hidden, features * shared)


def _dimensions(config: Config) -> Dimensions:
    return Dimensions(
        hidden=config.count("hidden_size"),
        layers=config.layers("num_hidden_layers"),
        heads=config.count("num_attention_heads"),
        kv_heads=1,
        head_dim=config.count("qk_rope_head_dim"),
        vocabulary=config.count("vocab_size"),
    )


def _indexed_layers(config: Config, layers: int) -> tuple[bool, ...]:
    if not config.has("indexer_types"):
        return (True,) * layers
    return tuple(kind == "full" for kind in config.per_layer("indexer_types", layers, ("full", "shared")))


def is_dense(config: Config, index: int) -> bool:
    """Whether layer `index` has no experts: as listed, or before they begin, or between them."""
    every = config.count("moe_layer_freq", 1)
    if config.has("mlp_layer_types"):
        return (
            config.per_layer("mlp_layer_types", config.layers("num_hidden_layers"), ("dense", "sparse"))[
                index
            ]
            == "dense"
        )
    if index < config.stated_count("first_k_dense_replace"):
        return True
    return index % every != 0


def _layer_tensors(
    config: Config, size: Dimensions, index: int, prefix: str, *, indexed: bool
) -> Iterator[Tensor]:
    yield from latent_attention(prefix + "self_attn.", config, size.hidden, size.heads)
    if indexed:
        yield from sparse_index(prefix + "self_attn.indexer.", config, size.hidden)
    if is_dense(config, index):
        yield from blocks.gated_mlp(prefix + "mlp.", size.hidden, config.count("intermediate_size"))
    else:
        yield from routed_experts(
            prefix + "mlp.", config, size.hidden, "n_routed_experts", "n_shared_experts"
        )
    yield blocks.norms(prefix, size.hidden, 2)


def _work(config: Config, size: Dimensions, index: int) -> Work:
    attention = size.heads * (config.count("qk_nope_head_dim") + config.count("qk_rope_head_dim"))
    if is_dense(config, index):
        return Work(attention, feedforward=config.count("intermediate_size"))
    features = config.count("moe_intermediate_size")
    shared = features * config.stated_count("n_shared_experts")
    return Work(attention, shared, config.count("num_experts_per_tok"), features)
