"""Rotary tables: the engine precomputes cosines and sines for every position and keeps them on every rank.

Exact: the table's length follows the scaling kind as in vLLM's rotary embeddings (checked against "Model loading
took" of Llama 3.1, Gemma 3, Llama 4 and Qwen3-VL, where it is 0.03 to 2.5 GiB of what the start log counts as weights).
"""

from __future__ import annotations

from infra.memory.config import Config
from infra.memory.network import RotaryTable

_PLAIN = ("default", "llama3", "proportional", "dynamic", "mrope", "su")
_BY_ORIGINAL_LENGTH = ("yarn", "deepseek_yarn", "deepseek_llama_scaling")
_MROPE_FACTOR = 4  # vLLM enlarges a multimodal table fourfold, for positions inside long videos


def rotary_tables(config: Config, head_dim: int, *, wide_dim: int | None = None) -> tuple[RotaryTable, ...]:
    """The tables of a language model; `wide_dim` is the head size of full-attention layers where it differs.

    Newer configs write `rope_parameters`, one per layer kind or one for all, older ones `rope_scaling`.
    """
    positions = config.count("max_position_embeddings")
    if config.has("rope_parameters"):
        parameters = config.section("rope_parameters")
        kinds = [kind for kind in ("full_attention", "sliding_attention") if parameters.has(kind)]
        if kinds:
            dims = {"full_attention": wide_dim or head_dim, "sliding_attention": head_dim}
            return tuple(_table(parameters.section(kind), config, positions, dims[kind]) for kind in kinds)
        return (_table(parameters, config, positions, head_dim),)
    scaling = (
        config.section("rope_scaling")
        if config.has("rope_scaling")
        else Config({}, config.name("rope_scaling."))
    )
    return (_table(scaling, config, positions, head_dim),)


def _table(scaling: Config, config: Config, positions: int, head_dim: int) -> RotaryTable:
    key = "rope_type" if scaling.has("rope_type") else "type"
    kind = scaling.word(key, "default")
    if kind in _BY_ORIGINAL_LENGTH:
        positions = int(
            scaling.count("original_max_position_embeddings", positions) * scaling.number("factor")
        )
    elif kind == "linear":
        positions = int(positions * scaling.number("factor"))
    elif kind == "longrope":
        positions += _original_length(scaling, config)
    elif kind not in _PLAIN:
        raise scaling.error(key, f"{kind!r} is no rotary scaling that the memory model knows")
    if scaling.has("mrope_section"):
        positions *= _MROPE_FACTOR
    if kind == "proportional":  # Gemma 4: the table spans the whole head, though only a part of it turns
        return RotaryTable(positions, head_dim)
    return RotaryTable(positions, _rotary_features(scaling, config, head_dim))


def _original_length(scaling: Config, config: Config) -> int:
    key = "original_max_position_embeddings"
    return scaling.count(key) if scaling.has(key) else config.count(key)


def _rotary_features(scaling: Config, config: Config, head_dim: int) -> int:
    if config.has("rotary_dim"):
        return config.count("rotary_dim")
    holder = scaling if scaling.has("partial_rotary_factor") else config
    return int(head_dim * holder.number("partial_rotary_factor", 1.0))
