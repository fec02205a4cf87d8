"""What a killed run leaves behind in the file backend: a lock that nobody holds and plugins that nobody asked."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.stack.checkpoint import PROJECT, backend_folder
from tools.stack.errors import StackError
from tools.stack.pulumi import MARK, Pulumi

PLUGIN_MODULES = frozenset({"provisioning.provider", "pulumi.dynamic"})


@dataclass(frozen=True)
class Lock:
    """Who locked a stack: one lock file of Pulumi's file backend."""

    pid: int
    hostname: str
    username: str
    timestamp: str

    def is_stale(self, hostname: str, program_of: Callable[[int], str]) -> bool:
        """Whether its holder is known to be gone: taken on this computer by a process that is no Pulumi any more.

        A lock of another computer is never stale to us, because its processes cannot be seen from here.
        `program_of` gives the name of a process's program, empty where there is no such process.
        """
        return self.hostname == hostname and program_of(self.pid) != "pulumi"


def parse_lock(text: str) -> Lock | None:
    """A lock file's content; None for one that is cut off, which then nobody can be asked about."""
    try:
        value = json.loads(text)
        return Lock(int(value["pid"]), value["hostname"], value["username"], value["timestamp"])
    except (ValueError, KeyError, TypeError):
        return None


def clear_stale_lock(pulumi: Pulumi, say: Callable[[str], None]) -> bool:
    """Removes the lock of a run that was killed and ends what it left running; True if there was one.

    Raises StackError when another run, alive or on another computer, holds the stack.
    """
    locks = read_locks(pulumi)
    if not locks:
        return False
    hostname = socket.gethostname()
    for lock in locks:
        if lock is not None and not lock.is_stale(hostname, _program_of):
            raise StackError(
                f"{pulumi.stack} is being changed by {lock.username}@{lock.hostname}, process {lock.pid}, since "
                f"{lock.timestamp}. Wait for it to end; if you know that it is gone, run "
                f"`tools/run pulumi cancel --stack {pulumi.stack}` and then the same again."
            )
    ended = end_orphans(pulumi.mark)
    pulumi.read("cancel", "--yes", pulumi.stack)
    left = f"; ended {ended} of its processes that were still at work" if ended else ""
    say(f"a run that was killed had left {pulumi.stack} locked: unlocked{left}")
    return True


def read_locks(pulumi: Pulumi) -> list[Lock | None]:
    """The stack's locks; none where the backend is not a folder, because those look after themselves."""
    backend = backend_folder(pulumi.environment.get("PULUMI_BACKEND_URL", ""))
    if backend is None:
        return []
    folder = backend / "locks" / "organization" / PROJECT / pulumi.stack
    return [parse_lock(file.read_text()) for file in sorted(folder.glob("*.json"))]


def read_living_locks(pulumi: Pulumi) -> list[Lock]:
    """Those locks whose holder may still be at work, on its state among others."""
    hostname = socket.gethostname()
    return [lock for lock in read_locks(pulumi) if lock and not lock.is_stale(hostname, _program_of)]


def end_orphans(mark: str) -> int:
    """Ends the plugins of a killed run that are still at work; returns how many there were.

    Without this its provider would go on changing machines beside the new one. Lab nodes bear the mark too, because a
    provider started them: they are not plugins, and stay.
    """
    wanted = f"{MARK}={mark}".encode()
    ended = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            marked = wanted in (folder / "environ").read_bytes().split(b"\0")
            if marked and is_plugin((folder / "cmdline").read_text().split("\0")):
                os.kill(int(folder.name), signal.SIGKILL)
                ended += 1
        except OSError:  # it has just ended, or belongs to somebody else
            continue
    return ended


def is_plugin(words: Sequence[str]) -> bool:
    """Whether a command line is that of a Pulumi plugin, by its program or by the script or module that it runs."""
    return any(Path(word).name.startswith("pulumi-") or word in PLUGIN_MODULES for word in words)


def _program_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
