"""Reads the plan of a checkpoint from its config, or makes the one that vLLM quantizes by while it loads."""

from __future__ import annotations

import re

from infra.errors import SizingError
from infra.memory.config import Config
from infra.memory.quantization.formats import READERS
from infra.memory.quantization.plan import UNQUANTIZED, QuantizationPlan
from infra.memory.quantization.schemes import FP8_TENSOR, NF4

_ON_LOAD = {"fp8": FP8_TENSOR, "bitsandbytes": NF4}


def read_plan(config: Config, requested: str | None) -> QuantizationPlan:
    """The plan of a checkpoint, or the one `--quantization` makes of an unquantized checkpoint while loading it."""
    section = _quantization_section(config)
    if section is None:
        return _on_load(requested)
    method = _method(section)
    if method not in READERS:
        raise section.error(
            "quant_method", f"{method!r} is not understood (known: {', '.join(sorted(READERS))})"
        )
    if requested and _family(requested) != _family(method):
        message = f"{requested!r} was asked for, but the checkpoint is quantized with {method!r}"
        raise SizingError("quantization", message)
    return READERS[method](section)


def _quantization_section(config: Config) -> Config | None:
    if config.has("quantization_config"):
        return config.section("quantization_config")
    text = config.section("text_config") if config.has("text_config") else None
    return text.section("quantization_config") if text and text.has("quantization_config") else None


def _method(section: Config) -> str:
    if section.has("quant_method"):
        return section.word("quant_method")
    if section.has("quantization") or section.has("quant_algo"):
        return "modelopt"  # NVIDIA's ModelOpt, whose own file does not name a method
    raise section.error("quant_method", "is missing from the config")


def _family(method: str) -> str:
    """Kernels of one checkpoint format (`awq_marlin`, `gptq_marlin`, `modelopt_fp4`) count as that format."""
    aliases = {"inc": "auto-round", "auto_round": "auto-round", "nvfp4": "modelopt", "gpt_oss_mxfp4": "mxfp4"}
    return aliases.get(method, re.sub(r"_(marlin|fp4|mixed|mxfp8)$", "", method))


def _on_load(requested: str | None) -> QuantizationPlan:
    if requested is None:
        return UNQUANTIZED
    if requested not in _ON_LOAD:
        message = (
            f"{requested!r} cannot be made of an unquantized checkpoint (only {', '.join(_ON_LOAD)} can)"
        )
        raise SizingError("quantization", message)
    return QuantizationPlan(requested, ((None, _ON_LOAD[requested]),), towers=requested == "fp8")
