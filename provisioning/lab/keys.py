"""Key pairs: one of this computer, with which it logs in to its lab nodes, and one of each node."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from provisioning.lab.folders import lab_dir
from provisioning.lab.local import run


def identity_file() -> Path:
    """The private key of this computer for its lab nodes, whether it exists or not."""
    return lab_dir() / "id_ed25519"


def ensure_key(private: Path, comment: str) -> str:
    """Makes a key pair unless it is there; the public half, "ssh-ed25519 AAAA…".

    Only the private half is kept: it appears whole, in one step, and the other follows from it.
    """
    if not private.exists():
        private.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=private.parent, prefix=".") as scratch:
            made = Path(scratch) / "key"
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(made)])
            with suppress(FileExistsError):  # another start was faster: both use its key
                os.link(made, private)
    return public_half(private)


def public_half(private: Path) -> str:
    """Type and key, without the comment; empty when there is no such key."""
    if not private.exists():
        return ""
    return " ".join(run(["ssh-keygen", "-y", "-f", str(private)]).stdout.split()[:2])
