"""Programs beside the engines that are installed from a locked set of packages.

`<program>-<version>-cp311.lock` names every package with its hashes, for CPython 3.11 and newer; the `.in` file beside
it is what `make lock` resolves. Only the standard library is imported here: the set-up reads it before there is a
virtual environment.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

LITELLM = "litellm"
LITELLM_VERSION = "1.106.2"
LITELLM_INSTALLED_BYTES = 470_000_000
"""What LiteLLM's environment takes on disk, modules compiled (measured)."""

_DIGEST_HEX_DIGITS = 8


def program_lock(program: str, version: str) -> Path:
    """The lock file of a program."""
    return Path(__file__).parent / f"{program}-{version}-cp311.lock"


@functools.cache
def program_digest(program: str, version: str) -> str:
    """A few hex digits that change with any byte of the lock file."""
    return hashlib.sha256(program_lock(program, version).read_bytes()).hexdigest()[:_DIGEST_HEX_DIGITS]
