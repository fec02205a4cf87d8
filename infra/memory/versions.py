"""vLLM versions: which the memory model knows, and tables whose values change from a version on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from infra.errors import SizingError

Version = tuple[int, int, int]

OLDEST: Version = (0, 6, 0)
NEWEST: Version = (0, 32, 0)
LATEST_VLLM = "0.32.0"
REPRESENTATIVES = ("0.7.3", "0.10.2", "0.16.0", "0.19.1", "0.26.0")  # one of each way of profiling
FIRST_ENGINE: Version = (
    0,
    7,
    99,
)  # up to here, and on GPUs before Ampere up to 0.10, vLLM ran its first engine

_UNTAGGED = re.compile(r"0\.1(\.dev.*)?")


def parse_version(text: str) -> Version:
    """Read `0.19.1`, `0.20.2rc1.dev9+g01d4d1ad3` and the like; SizingError for what is unreadable or not known.

    A build from source without tags calls itself 0.1.dev; nothing can be known of its age, and it is sized as the
    newest version (`is_untagged` says so, for a note).
    """
    if is_untagged(text):
        return NEWEST
    match = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", text)
    if not match:
        raise SizingError("vllm_version", f"{text!r} is not a version such as {LATEST_VLLM}")
    version = (int(match[1]), int(match[2]), int(match[3] or 0))
    if not OLDEST <= version <= (*NEWEST[:2], 99):
        known = f"{_shown(OLDEST)} to {_shown(NEWEST)}"
        raise SizingError("vllm_version", f"{text} is outside what the memory model knows ({known})")
    return version


def is_untagged(text: str) -> bool:
    """Whether this is the version that a source build without tags gives itself."""
    return _UNTAGGED.fullmatch(text) is not None


def since(entries: Sequence[Mapping[str, Any]], version: Version) -> Mapping[str, Any]:
    """The last entry whose `since` is not newer than `version`; entries are in the order of their versions."""
    fitting = [entry for entry in entries if _version_of(entry) <= version]
    return fitting[-1] if fitting else entries[0]


def _version_of(entry: Mapping[str, Any]) -> Version:
    major, minor, patch = (int(part) for part in entry["since"].split("."))
    return (major, minor, patch)


def _shown(version: Version) -> str:
    return ".".join(map(str, version))
