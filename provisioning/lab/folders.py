"""A lab's folders, below the state folder, and what they say about each node before anything is done to it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from provisioning.errors import LabError
from provisioning.lab.values import LabNodeState
from provisioning.places import state_dir

NEEDED_BYTES = 256 << 20
"""What a booted node writes is some 10 MiB; a node that fills the disk would stop this computer too."""

_LOCK_ATTEMPTS = 10_000
"""Each lost one means that another caller came and went; so many in a row mean that no folder can be made here."""


@dataclass(frozen=True)
class NodeRecord:
    """What a start was asked for.

    `image` is the real folder, which the disk stays bound to. `removing` means that a removal has begun: what is left
    of the disk is good for nothing.
    """

    state: LabNodeState
    image: Path
    removing: bool = False


@dataclass(frozen=True)
class NodeFolder:
    """The files of one node."""

    path: Path

    @property
    def record(self) -> Path:
        """The NodeRecord."""
        return self.path / "record.json"

    @property
    def host_key(self) -> Path:
        """The private key of the node's sshd."""
        return self.path / "host_key"

    @property
    def known_hosts(self) -> Path:
        """The public one, as ssh reads it."""
        return self.path / "known_hosts"

    @property
    def log(self) -> Path:
        """What the node printed on its console since its last start."""
        return self.path / "console.log"

    @property
    def upper(self) -> Path:
        """What the node wrote: its disk."""
        return self.path / "disk"

    @property
    def work(self) -> Path:
        """The overlay's own folder, on the same file system as the disk."""
        return self.path / "work"

    @property
    def merged(self) -> Path:
        """The node's root file system, mounted here while the node lives."""
        return self.path / "root"

    def read_record(self) -> NodeRecord | None:
        """The record, None when there is no such node or nothing but its name is known."""
        try:
            fields = json.loads(self.record.read_text())
            return NodeRecord(LabNodeState(**fields["state"]), Path(fields["image"]), fields["removing"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise LabError(
                f"{self.record} is not a lab node's record ({error}): remove the stack's nodes with "
                f"`python -m provisioning.lab sweep {self.path.parent.name}`"
            ) from error

    def write_record(self, record: NodeRecord) -> None:
        """Writes the record, whole or not at all."""
        self.path.mkdir(parents=True, exist_ok=True)
        fields = {"state": asdict(record.state), "image": str(record.image), "removing": record.removing}
        partial = self.record.with_suffix(".partial")
        partial.write_text(json.dumps(fields, indent=2))
        partial.replace(self.record)

    def log_tail(self, lines: int = 8) -> str:
        """The last lines that the node's console showed, indented; empty when it showed nothing."""
        try:
            shown = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        except OSError:
            return ""
        return "".join(f"\n  {line}" for line in shown[-lines:])


def lab_dir() -> Path:
    """All stacks' folders and the key of this computer; raises LabError where a node's disk cannot be."""
    folder = state_dir() / "lab"
    if any(sign in str(folder) for sign in ':,\\" \n'):
        raise LabError(
            f"the state folder {state_dir()} has a character in its name that a mount cannot take: set AGENTFLEET_HOME"
        )
    return folder


def stack_dir(stack: str) -> Path:
    """One stack's folder."""
    return lab_dir() / stack


def node_folder(stack: str, node: str) -> NodeFolder:
    """One node's folder."""
    return NodeFolder(stack_dir(stack) / node)


def recorded_stacks() -> list[str]:
    """Stacks that have a folder."""
    return _subfolders(lab_dir())


def recorded_nodes(stack: str) -> list[str]:
    """Nodes of a stack that have a folder."""
    return _subfolders(stack_dir(stack))


def check_room() -> None:
    """Raises LabError where the disk of the state folder is nearly full."""
    existing = next(path for path in [lab_dir(), *lab_dir().parents] if path.exists())
    free_bytes = shutil.disk_usage(existing).free
    if free_bytes < NEEDED_BYTES:
        raise LabError(
            f"{lab_dir()} has {free_bytes >> 20} MiB of free disk and a lab node needs {NEEDED_BYTES >> 20}: "
            "make room, or set AGENTFLEET_HOME to a folder on a larger disk"
        )


@contextmanager
def stack_lock(stack: str) -> Iterator[None]:
    """One caller at a time changes a stack; the stack's folder exists meanwhile and goes if nothing was put in it."""
    folder = stack_dir(stack)
    descriptor = _locked(folder / ".lock")
    try:
        yield
    finally:
        if not recorded_nodes(stack):
            shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _locked(path: Path) -> int:
    """An open, locked file: the one that `path` still names when the lock is ours, not one deleted meanwhile."""
    for _ in range(_LOCK_ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (FileExistsError, FileNotFoundError):
            continue  # the last node's removal took the folder away at this moment
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return descriptor
        os.close(descriptor)
    raise LabError(f"{path.parent} cannot be made and locked: see what else is there under that name")


def _subfolders(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
