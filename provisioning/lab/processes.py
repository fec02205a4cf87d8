"""The processes of a node, found by what they are and not by a number that was written down.

A recorded process id may be another process's by now, and a caller that was killed right after a start has recorded
none. Machine names are unique on this computer. nspawn, and the shell that keeps it, have theirs in their command line.
What runs inside has it in its control group: that matters where nspawn was killed, because its node outlives it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from provisioning.lab.commands import machine_word, signal
from provisioning.lab.local import run_as_root

NSPAWN = "systemd-nspawn"
KEEPERS = frozenset({NSPAWN, "sh", "setsid", "sudo"})
"""nspawn, and what starts it. A pager or an editor that shows the same words is nobody's node."""


@dataclass(frozen=True)
class Process:
    """A process. Its start, in clock ticks since this computer's, tells it from a later one of the same number."""

    pid: int
    started_ticks: int
    program: str
    words: tuple[str, ...]
    groups: frozenset[str]

    @property
    def keeps(self) -> str:
        """The machine that it keeps running, empty when it keeps none."""
        mark = machine_word("")
        named = (word.removeprefix(mark) for word in self.words if word.startswith(mark))
        return next(named, "") if self.program in KEEPERS else ""

    @property
    def machines(self) -> set[str]:
        """Names that may be those of the machine it belongs to: ask for one that you know."""
        return {self.keeps, *(group.removesuffix(".service") for group in self.groups)} - {""}


def keepers_of(machine: str) -> list[Process]:
    """Without one of these the machine is dead, whatever still runs in it."""
    return [process for process in all_processes() if process.keeps == machine]


def processes_of(machine: str) -> list[Process]:
    """The machine's keepers and everything that runs in it."""
    return [process for process in all_processes() if machine in process.machines]


def send(name: str, processes: list[Process]) -> None:
    """Signals those that are still the processes that they were."""
    same = [process.pid for process in processes if _is_still(process)]
    if same:
        run_as_root(signal(name, same), check=False)  # one may end meanwhile: who waits for it sees that


def all_processes() -> Iterator[Process]:
    """Every process of this computer."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and (process := _read(int(entry.name))):
            yield process


def _is_still(process: Process) -> bool:
    now = _read(process.pid)
    return now is not None and now.started_ticks == process.started_ticks


def _read(pid: int) -> Process | None:
    """The process, None when it has ended (a zombie has no command line)."""
    folder = Path("/proc") / str(pid)
    try:
        words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        stat = (folder / "stat").read_text(errors="replace")
        groups = (folder / "cgroup").read_text(errors="replace")
    except OSError:
        return None
    # proc(5): field 2 is the name in parentheses and may hold anything; the start time is field 22.
    program, fields = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
    paths = (line.split(":", 2)[2] for line in groups.splitlines())
    names = frozenset(name for path in paths for name in path.split("/"))
    return Process(pid, int(fields[19]), program, tuple(words), names) if words else None
