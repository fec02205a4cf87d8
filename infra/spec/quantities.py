"""Number types of a spec: strict, so that "5", 5.0 and yes are refused instead of guessed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

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


def _between(least_bytes: int, most_bytes: int) -> Callable[[int], int]:
    def check(size_bytes: int) -> int:
        if not least_bytes <= size_bytes <= most_bytes:
            least, most = format_size(least_bytes), format_size(most_bytes)
            raise ValueError(f"must be between {least} and {most}, not {format_size(size_bytes)}")
        return size_bytes

    return check


def _size_type(least_bytes: int, most_bytes: int, example: str) -> Any:
    """A size that a spec writes with its unit and a plan holds in bytes."""
    pattern = r"^[0-9]+(\.[0-9]+)? ?(KiB|MiB|GiB|TiB)$"
    return Annotated[
        int,
        BeforeValidator(_size_bytes),
        AfterValidator(_between(least_bytes, most_bytes)),
        PlainSerializer(format_size, when_used="json"),
        WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]}),
    ]


Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Switch = Annotated[bool, Strict()]
Port = Annotated[int, Strict(), Field(ge=1024, le=65535)]
SshPort = Annotated[int, Strict(), Field(ge=1, le=65535)]
if TYPE_CHECKING:
    KvCacheBytes = int
    RequestBytes = int
    StoreBytes = int
    TextBytes = int
else:
    KvCacheBytes = _size_type(2**20, 2**40, "64MiB")
    RequestBytes = _size_type(2**16, 2**30, "32MiB")
    StoreBytes = _size_type(2**25, 2**44, "4GiB")
    TextBytes = _size_type(2**10, 2**30, "32KiB")
