"""Quantized weights: how many bytes a matrix takes under each scheme, and which modules of a checkpoint have which.

Sizes are exact for the tensors of a checkpoint: packed weights and their scales and zero points. Embeddings, norms,
routers and convolutions stay in the model's own type under every scheme.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import translate
from typing import Any

from infra.errors import SizingError
from infra.memory.config import Config


@dataclass(frozen=True)
class Scheme:
    """`bits` per weight; scales per `group` of input features, per output row, or per square `block`."""

    name: str
    bits: int
    group: int = 0
    scale_bytes: int = 0
    zero_point: bool = False
    per_row: bool = False
    block: int = 0

    def matrix_bytes(self, rows: int, columns: int) -> int:
        """Bytes of one matrix with its scales and zero points."""
        bits = rows * columns * self.bits
        if self.group:
            groups = rows * -(-columns // self.group)
            bits += groups * (8 * self.scale_bytes + (self.bits if self.zero_point else 0))
        if self.per_row:
            bits += rows * 8 * self.scale_bytes
        if self.block:
            bits += -(-rows // self.block) * -(-columns // self.block) * 8 * self.scale_bytes
        return -(-bits // 8)


FP8_TENSOR = Scheme("fp8", 8)
FP8_ROWS = Scheme("fp8 per row", 8, per_row=True, scale_bytes=4)
INT8_ROWS = Scheme("int8 per row", 8, per_row=True, scale_bytes=4)
NVFP4 = Scheme("nvfp4", 4, group=16, scale_bytes=1)
MXFP4 = Scheme("mxfp4", 4, group=32, scale_bytes=1)
NF4 = Scheme("nf4", 4, group=64, scale_bytes=4)

_TEXT_PARTS_ONLY = re.compile(r"vision|visual|projector|audio")


@dataclass(frozen=True)
class Patterns:
    """Module names as checkpoints list them: whole names, names with a trailing *, globs, and `re:` expressions."""

    names: frozenset[str] = frozenset()
    starts: tuple[str, ...] = ()
    expression: re.Pattern[str] | None = None

    def match(self, name: str) -> bool:
        """Whether `name`, or a module that contains it, is listed."""
        parts = name.split(".")
        inside = (".".join(parts[i:j]) for i in range(len(parts)) for j in range(i + 1, len(parts) + 1))
        if self.names and any(part in self.names for part in inside):
            return True
        return name.startswith(self.starts) or (
            self.expression is not None and self.expression.match(name) is not None
        )


def patterns(listed: Iterable[str], key: str) -> Patterns:
    """Compile a list of module names; SizingError with `key` for an expression that does not compile."""
    names, starts, expressions = [], [], []
    for entry in listed:
        if entry.startswith("re:"):
            expressions.append(entry[3:])
        elif not re.search(r"[*?\[]", entry):
            names.append(entry)
        elif re.search(r"[*?\[]", entry[:-1]) or not entry.endswith("*"):
            expressions.append(translate(entry) + "|" + translate(entry + ".*"))
        else:
            starts.append(entry[:-1])
    try:
        expression = re.compile("|".join(f"(?:{each})" for each in expressions)) if expressions else None
    except re.error as error:
        raise SizingError(key, f"holds an expression that does not compile: {error}") from None
    return Patterns(frozenset(names), tuple(starts), expression)


@dataclass(frozen=True)
class QuantizationPlan:
    """Which scheme each linear layer has: the first rule that matches, unless the layer is excluded.

    A rule without patterns is for every linear layer. `head` and `towers`: whether the output head and the towers
    beside the language model are quantized like the rest.
    """

    method: str
    rules: tuple[tuple[Patterns | None, Scheme], ...] = ()
    excluded: Patterns = field(default_factory=Patterns)
    head: bool = False
    towers: bool = False
    kv_cache_fp8: bool = False

    def scheme_for(self, name: str) -> Scheme | None:
        """The scheme of the linear layer `name`; None where it keeps the model's own type."""
        if not self.rules or (name == "lm_head" and not self.head):
            return None
        if (_TEXT_PARTS_ONLY.search(name) and not self.towers) or self.excluded.match(name):
            return None
        return next((scheme for listed, scheme in self.rules if listed is None or listed.match(name)), None)

    def schemes(self) -> tuple[Scheme, ...]:
        """Every scheme that some layer may have."""
        return tuple(scheme for _, scheme in self.rules)


UNQUANTIZED = QuantizationPlan("none")


def read_plan(config: Config, requested: str | None) -> QuantizationPlan:
    """The plan of a checkpoint, or the one `--quantization` makes of an unquantized checkpoint while loading it."""
    section = _quantization_section(config)
    if section is None:
        return _on_load(requested)
    method = _method(section)
    if method not in _READERS:
        raise section.error(
            "quant_method", f"{method!r} is not understood (known: {', '.join(sorted(_READERS))})"
        )
    if requested and _family(requested) != _family(method):
        message = f"{requested!r} was asked for, but the checkpoint is quantized with {method!r}"
        raise SizingError("quantization", message)
    return _READERS[method](section)


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


# ------------------------------------------------------------------------------------------- on load

_ON_LOAD = {"fp8": FP8_TENSOR, "bitsandbytes": NF4}


def _on_load(requested: str | None) -> QuantizationPlan:
    if requested is None:
        return UNQUANTIZED
    if requested not in _ON_LOAD:
        message = (
            f"{requested!r} cannot be made of an unquantized checkpoint (only {', '.join(_ON_LOAD)} can)"
        )
        raise SizingError("quantization", message)
    return QuantizationPlan(requested, ((None, _ON_LOAD[requested]),), towers=requested == "fp8")


# ------------------------------------------------------------------------------------------- checkpoint formats


def _read_fp8(section: Config) -> QuantizationPlan:
    scheme = FP8_TENSOR
    if section.has("weight_block_size"):
        block = section.counts("weight_block_size")
        if len(block) != 2 or block[0] != block[1] or not block[0]:
            raise section.error("weight_block_size", f"only square blocks are understood, not {list(block)}")
        scheme = Scheme("fp8 in blocks", 8, block=block[0], scale_bytes=4)
    for key in ("modules_to_not_convert", "ignored_layers"):
        if section.has(key):
            return QuantizationPlan("fp8", ((None, scheme),), _listed(section, key))
    return QuantizationPlan("fp8", ((None, scheme),))


def _read_awq(section: Config) -> QuantizationPlan:
    scheme = _grouped(section, zero_point=section.flag("zero_point", True))
    return QuantizationPlan("awq", ((None, scheme),), _listed(section, "modules_to_not_convert"))


def _read_gptq(section: Config) -> QuantizationPlan:
    """GPTQ files carry zero points even where they are symmetric."""
    if section.has("dynamic"):
        raise section.error("dynamic", "rules by module are not understood for GPTQ")
    rules = ((None, _grouped(section, zero_point=True)),)
    return QuantizationPlan(
        "gptq", rules, _listed(section, "modules_to_not_convert"), head=section.flag("lm_head", False)
    )


def _read_autoround(section: Config) -> QuantizationPlan:
    scheme = _grouped(section, zero_point=not section.flag("sym", True))
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
    return QuantizationPlan("mxfp4", ((only, MXFP4),), _listed(section, "modules_to_not_convert"))


def _read_compressed_tensors(section: Config) -> QuantizationPlan:
    groups = section.section("config_groups")
    rules = []
    for key in groups.facts:
        group = groups.section(key)
        rules.append((_targets(group), _scheme_of_weights(group.section("weights"))))
    rules.sort(key=lambda rule: rule[0] is None)
    return QuantizationPlan(
        "compressed-tensors",
        tuple(rules),
        _listed(section, "ignore"),
        head=any(listed is not None and listed.match("lm_head") for listed, _ in rules),
        kv_cache_fp8=_kv_scheme_is_fp8(section),
    )


def _read_modelopt(section: Config) -> QuantizationPlan:
    inner = section.section("quantization") if section.has("quantization") else section
    algorithm = inner.word("quant_algo")
    key = "exclude_modules" if inner.has("exclude_modules") else "ignore"
    excluded = _listed(inner, key)
    kv_fp8 = _kv_scheme_is_fp8(section) or inner.word("kv_cache_quant_algo", "").upper() == "FP8"
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


_READERS: dict[str, Callable[[Config], QuantizationPlan]] = {
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


# ------------------------------------------------------------------------------------------- parts of the formats


def _listed(section: Config, key: str) -> Patterns:
    return patterns(section.words(key, ()), section.name(key))


def _grouped(section: Config, *, zero_point: bool) -> Scheme:
    bits, group = section.count("bits"), section.count("group_size")
    if bits not in {2, 3, 4, 8}:
        raise section.error("bits", f"{bits} bits per weight are not understood")
    return Scheme(f"int{bits} in groups", bits, group=group, scale_bytes=2, zero_point=zero_point)


def _targets(group: Config) -> Patterns | None:
    targets = group.words("targets", ("Linear",))
    return None if "Linear" in targets else patterns(targets, group.name("targets"))


def _scheme_of_weights(weights: Config) -> Scheme:
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


def _kv_scheme_is_fp8(section: Config) -> bool:
    if not section.has("kv_cache_scheme"):
        return False
    scheme: Any = section.facts["kv_cache_scheme"]
    if isinstance(scheme, str):
        return scheme.upper() == "FP8"
    if isinstance(scheme, Mapping) and scheme.get("num_bits") == 8 and scheme.get("type") == "float":
        return True
    raise section.error("kv_cache_scheme", f"{scheme!r} is not understood; only 8-bit floats are")
