"""Which modules of a checkpoint have which scheme."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import translate

from infra.errors import SizingError
from infra.memory.quantization.schemes import Scheme

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
