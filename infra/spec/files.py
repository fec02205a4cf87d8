"""The spec's file to its text."""

from __future__ import annotations

from pathlib import Path

from infra.errors import Problem, SpecError
from infra.spec.fleet import FleetSpec
from infra.spec.parse import parse

MAX_BYTES = 1_000_000
"""A spec has a few kilobytes; what is larger is the wrong file."""


def load(path: Path) -> FleetSpec:
    """Reads and parses the spec at `path`; SpecError where the file cannot be read or holds no sound spec."""
    file = str(path)
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
    except FileNotFoundError:
        raise SpecError([Problem(file, 0, 0, "", "there is no such file: check the path")]) from None
    except IsADirectoryError:
        raise SpecError(
            [Problem(file, 0, 0, "", "is a folder: name a file in it, such as *.fleet.yaml")]
        ) from None
    except (OSError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise SpecError([Problem(file, 0, 0, "", f"cannot be read: {reason}")]) from None
    if data is None:
        raise SpecError([Problem(file, 0, 0, "", "is larger than 1 MB: this is no fleet spec")])
    try:
        return parse(data.decode("utf-8-sig"), file)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - (data.rfind(b"\n", 0, error.start) + 1) + 1
        message = f"is not UTF-8 (byte 0x{data[error.start]:02x}): save the file as UTF-8"
        raise SpecError([Problem(file, line, column, "", message)]) from None
