"""Which Debian or Ubuntu this is, and what its releases call the things that the set-up needs."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tools.setup.errors import SetupError

OLDEST = {"debian": (12,), "ubuntu": (22, 4)}
ENGINE_PYTHON_MINORS = (11, 14)
"""The versions 3.11 to 3.14 that the engine's wheels serve."""


@dataclass(frozen=True)
class Release:
    """A release of a distribution: `debian`, `bookworm`, `12`."""

    distribution: str
    codename: str
    version: str


def parse_release(os_release: str) -> Release:
    """The release that an /etc/os-release names; raises SetupError where it is not one that the set-up knows."""
    fields = dict(word.split("=", 1) for word in shlex.split(os_release, comments=True) if "=" in word)
    release = Release(fields.get("ID", ""), fields.get("VERSION_CODENAME", ""), fields.get("VERSION_ID", ""))
    version = tuple(int(part) for part in re.findall(r"\d+", release.version))
    if not release.codename or version < OLDEST.get(release.distribution, (1 << 30,)):
        found = fields.get("PRETTY_NAME", "neither")
        raise SetupError(
            f"The set-up knows Debian 12, Ubuntu 22.04 and what is newer, and this is {found}.",
            advice="run it on one of them; nodes of another kind can still be reached by SSH from there",
        )
    return release


def this_release() -> Release:
    """The release of this computer."""
    try:
        return parse_release(Path("/etc/os-release").read_text())
    except OSError as error:
        raise SetupError(
            f"/etc/os-release cannot be read: {error.strerror}.", advice="run on Debian or Ubuntu"
        ) from error


def distribution_python(release: Release, folder: Path = Path("/usr/bin")) -> Path:
    """The distribution's own Python for the engine, whether it is installed or not.

    Not the one on PATH: the engine's folder is shown to lab nodes of the same release, which have only this one.
    """
    first, last = ENGINE_PYTHON_MINORS
    known = [folder / f"python3.{minor}" for minor in range(first, last + 1)]
    default = (folder / "python3").resolve()
    if default in known:
        return default
    installed = [path for path in known if path.exists()]
    return installed[0] if installed else folder / _packaged_python(release)


def _packaged_python(release: Release) -> str:
    """The Python that a release without one installs: its own default, or on Ubuntu 22.04 the newer one beside it."""
    shipped = {"bookworm": "python3.11", "trixie": "python3.13", "jammy": "python3.11", "noble": "python3.12"}
    return shipped.get(release.codename, "python3.13")
