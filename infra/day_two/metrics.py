"""Numbers from the pages that programs show: Prometheus samples of an engine, INFO of a store."""

from __future__ import annotations

import math
import re

_LABELS = r'(?:\{(?:[^"}]|"(?:\\.|[^"\\])*")*\})?'
"""A sample's labels; a quoted value may hold any character, braces and escaped quotes included."""


def sample_values(page: str, metric: str) -> tuple[float, ...]:
    """Every sample of exactly this metric on a Prometheus page, whatever its labels. NaN is left out."""
    pattern = rf"^{re.escape(metric)}{_LABELS}[ \t]+(\S+)(?:[ \t]+-?\d+)?$"
    found = (_number(value) for value in re.findall(pattern, page, re.MULTILINE))
    return tuple(value for value in found if value is not None)


def sample_sum(page: str, metric: str) -> float | None:
    """The samples together, as an engine of several data-parallel ranks shows them; None where there are none."""
    values = sample_values(page, metric)
    return sum(values) if values else None


def info_number(text: str, field: str) -> int | None:
    """A whole number in the answer to INFO; None where it is not shown."""
    found = re.search(rf"^{re.escape(field)}:(\d+)\r?$", text, re.MULTILINE)
    return int(found[1]) if found else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) else value
