"""The plan that each checkpoint format writes into its config."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from infra.memory.config import Config
from infra.memory.quantization.parts import grouped, kv_scheme_is_fp8, listed, scheme_of_weights, targets
from infra.memory.quantization.plan import Patterns, QuantizationPlan, patterns
from infra.memory.quantization.schemes import FP8_ROWS, FP8_TENSOR, MXFP4, NVFP4, Scheme


def _read_fp8(section: Config) -> QuantizationPlan:
    scheme = FP8_TENSOR
    if section.has("weight_block_size"):
        block = section.counts("weight_block_size")
        if len(block) != 2 or block[0] != block[1] or not block[0]:
            raise section.error("weight_block_size", f"only square blocks are understood, not {list(block)}")
        scheme = Scheme("fp8 in blocks", 8, block=block[0], scale_bytes=4)
    for key in ("modules_to_not_convert", "ignored_layers"):
        if section.has(key):
            return QuantizationPlan("fp8", ((None, scheme),), listed(section, key))
    return QuantizationPlan("fp8", ((None, scheme),))


def _read_awq(section: Config) -> QuantizationPlan:
    scheme = grouped(section, zero_point=section.flag("zero_point", True))
    return QuantizationPlan("awq", ((None, scheme),), listed(section, "modules_to_not_convert"))


def _read_gptq(section: Config) -> QuantizationPlan:
    """GPTQ files carry zero points even where they are symmetric."""
    if section.has("dynamic"):
        raise section.error("dynamic", "rules by module are not understood for GPTQ")
    rules = ((None, grouped(section, zero_point=True)),)
    return QuantizationPlan(
        "gptq", rules, listed(section, "modules_to_not_convert"), head=section.flag("lm_head", False)
    )


def _read_autoround(section: Config) -> QuantizationPlan:
    scheme = grouped(section, zero_point=not section.flag("sym", True))
    extra = section.section("extra_config").facts if section.has("extra_config") else {}
    kept = [name for name, plan in extra.items() if isinstance(plan, Mapping) and plan.get("bits", 16) >= 16]
    for name, plan in extra.items():
        if name not in kept:
            raise section.error(
                "extra_config", f"{name!r}: {plan!r} is not understood; only layers kept in 16 bits are"
            )
    blocks = (
        section.word("block_name_to_quantize", "").split(",") if section.has("block_name_to_quantize") else []
    )
    only = (
        patterns([block for block in blocks if block], section.name("block_name_to_quantize"))
        if blocks
        else None
    )
    excluded = patterns([f"re:{name}" for name in kept], section.name("extra_config"))
    return QuantizationPlan("auto-round", ((only, scheme),), excluded)


def _read_mxfp4(section: Config) -> QuantizationPlan:
    """gpt-oss: the experts only."""
    only = patterns(["re:.*[.]experts[.]"], "quantization_config")
    return QuantizationPlan("mxfp4", ((only, MXFP4),), listed(section, "modules_to_not_convert"))


def _read_compressed_tensors(section: Config) -> QuantizationPlan:
    groups = section.section("config_groups")
    rules = []
    for key in groups.facts:
        group = groups.section(key)
        rules.append((targets(group), scheme_of_weights(group.section("weights"))))
    rules.sort(key=lambda rule: rule[0] is None)
    return QuantizationPlan(
        "compressed-tensors",
        tuple(rules),
        listed(section, "ignore"),
        head=any(listed is not None and listed.match("lm_head") for listed, _ in rules),
        kv_cache_fp8=kv_scheme_is_fp8(section),
    )


def _read_modelopt(section: Config) -> QuantizationPlan:
    inner = section.section("quantization") if section.has("quantization") else section
    algorithm = inner.word("quant_algo")
    key = "exclude_modules" if inner.has("exclude_modules") else "ignore"
    excluded = listed(inner, key)
    kv_fp8 = kv_scheme_is_fp8(section) or inner.word("kv_cache_quant_algo", "").upper() == "FP8"
    if algorithm == "MIXED_PRECISION":
        rules: tuple[tuple[Patterns | None, Scheme], ...] = _modelopt_layers(inner)
    elif algorithm in _MODELOPT:
        rules = ((None, _MODELOPT[algorithm]),)
    else:
        raise inner.error("quant_algo", f"{algorithm!r} is not understood (known: {', '.join(_MODELOPT)})")
    return QuantizationPlan("modelopt", rules, excluded, kv_cache_fp8=kv_fp8)


_MODELOPT = {"FP8": FP8_TENSOR, "NVFP4": NVFP4, "W4A16_NVFP4": NVFP4, "FP8_PER_CHANNEL_PER_TOKEN": FP8_ROWS}


def _modelopt_layers(inner: Config) -> tuple[tuple[Patterns | None, Scheme], ...]:
    layers = inner.section("quantized_layers")
    by_scheme: dict[Scheme, list[str]] = {}
    for name, plan in layers.facts.items():
        algorithm = plan.get("quant_algo") if isinstance(plan, Mapping) else None
        if not isinstance(algorithm, str) or algorithm not in _MODELOPT:
            raise layers.error(
                name, f"quant_algo {algorithm!r} is not understood (known: {', '.join(_MODELOPT)})"
            )
        by_scheme.setdefault(_MODELOPT[algorithm], []).append(name)
    return tuple((patterns(names, layers.name("")), scheme) for scheme, names in by_scheme.items())


READERS: dict[str, Callable[[Config], QuantizationPlan]] = {
    "fp8": _read_fp8,
    "awq": _read_awq,
    "gptq": _read_gptq,
    "auto-round": _read_autoround,
    "mxfp4": _read_mxfp4,
    "compressed-tensors": _read_compressed_tensors,
    "modelopt": _read_modelopt,
    "modelopt_fp4": _read_modelopt,
    "modelopt_mixed": _read_modelopt,
}
