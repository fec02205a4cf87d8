"""Number types of a spec: strict, so that "5", 5.0 and yes are refused instead of guessed."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, Strict, WithJsonSchema

from infra.spec.document import shown

SIZE_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)")


def format_size(size_bytes: int) -> str:
    """The shortest exact spelling of a size, such as 64MiB, that a spec would accept."""
    for unit, factor in reversed(SIZE_UNITS.items()):
        if size_bytes % factor == 0:
            return f"{size_bytes // factor}{unit}"
    return f"{size_bytes / SIZE_UNITS['KiB']}KiB"


def _size_bytes(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError("must be a size with its unit, such as 64MiB")
    match = _SIZE.fullmatch(str(value))
    if not match:
        raise ValueError(f"must be a size with its unit, such as 64MiB or 1.5GiB, not {shown(value)}")
    number, unit = match.groups()
    if unit not in SIZE_UNITS:
        meant = {"K": "KiB", "G": "GiB", "T": "TiB"}.get(unit[:1].upper(), "MiB")
        raise ValueError(f"must name its unit as {', '.join(SIZE_UNITS)}: write {number}{meant}")
    size_bytes = float(number) * SIZE_UNITS[unit]
    if not size_bytes.is_integer():
        raise ValueError(f"must be a whole number of bytes, not {value}")
    return int(size_bytes)


def _kv_cache_range(size_bytes: int) -> int:
    if not 2**20 <= size_bytes <= 2**40:
        raise ValueError(f"must be between 1MiB and 1TiB, not {format_size(size_bytes)}")
    return size_bytes


Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Switch = Annotated[bool, Strict()]
Port = Annotated[int, Strict(), Field(ge=1024, le=65535)]
SshPort = Annotated[int, Strict(), Field(ge=1, le=65535)]
KvCacheBytes = Annotated[
    int,
    BeforeValidator(_size_bytes),
    AfterValidator(_kv_cache_range),
    PlainSerializer(format_size, when_used="json"),
    WithJsonSchema(
        {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?(KiB|MiB|GiB|TiB)$", "examples": ["64MiB"]}
    ),
]
