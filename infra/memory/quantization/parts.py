"""What several checkpoint formats write the same way: lists of modules, groups, the scheme of the KV cache."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.memory.config import Config
from infra.memory.quantization.plan import Patterns, patterns
from infra.memory.quantization.schemes import FP8_ROWS, FP8_TENSOR, INT8_ROWS, MXFP4, NVFP4, Scheme


def listed(section: Config, key: str) -> Patterns:
    """The modules that a key lists; none where the key is absent."""
    return patterns(section.words(key, ()), section.name(key))


def grouped(section: Config, *, zero_point: bool) -> Scheme:
    """Integers in groups with 2-byte scales, as AWQ, GPTQ and AutoRound write them."""
    bits, group = section.count("bits"), section.count("group_size")
    if bits not in {2, 3, 4, 8}:
        raise section.error("bits", f"{bits} bits per weight are not understood")
    return Scheme(f"int{bits} in groups", bits, group=group, scale_bytes=2, zero_point=zero_point)


def targets(group: Config) -> Patterns | None:
    """The layers that a group of compressed-tensors is for; None for every linear layer."""
    listed_targets = group.words("targets", ("Linear",))
    return None if "Linear" in listed_targets else patterns(listed_targets, group.name("targets"))


def scheme_of_weights(weights: Config) -> Scheme:
    """The scheme of a group of compressed-tensors. SizingError for one that is not understood."""
    bits, kind = weights.count("num_bits"), weights.word("type")
    group = weights.count("group_size", 0, minimum=-1)
    if bits == 8:
        if weights.word("strategy", "tensor") == "block":
            blocks = weights.counts("block_structure")
            return Scheme("fp8 in blocks", 8, block=blocks[0], scale_bytes=4)
        by_row = weights.word("strategy", "tensor") == "channel"
        return (FP8_ROWS if kind == "float" else INT8_ROWS) if by_row else FP8_TENSOR
    if bits == 4 and kind == "float":
        if group not in {16, 32}:
            raise weights.error("group_size", f"4-bit floats in groups of {group} are not understood")
        return NVFP4 if group == 16 else MXFP4
    if bits == 4 and kind == "int" and group > 0:
        symmetric = weights.flag("symmetric", True)
        return Scheme("int4 in groups", 4, group=group, scale_bytes=2, zero_point=not symmetric)
    raise weights.error("num_bits", f"{bits}-bit {kind} weights in groups of {group} are not understood")


def kv_scheme_is_fp8(section: Config) -> bool:
    """Whether the checkpoint asks for a KV cache of 8-bit floats. SizingError for any other type."""
    if not section.has("kv_cache_scheme"):
        return False
    scheme: Any = section.facts["kv_cache_scheme"]
    if isinstance(scheme, str):
        return scheme.upper() == "FP8"
    if isinstance(scheme, Mapping) and scheme.get("num_bits") == 8 and scheme.get("type") == "float":
        return True
    raise section.error("kv_cache_scheme", f"{scheme!r} is not understood; only 8-bit floats are")
