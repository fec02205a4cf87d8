"""The processes of a node, found by what they are and not by a number that was written down.

A recorded process id may be another process's by now, and a caller that was killed right after a start has recorded
none. A node's processes name their machine in their command line, and machine names are unique on this computer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from provisioning.lab.commands import machine_word, signal
from provisioning.lab.local import run_as_root

PROGRAMS = frozenset({"systemd-nspawn", "sh", "setsid", "sudo"})
"""nspawn, and what starts it. A pager or an editor that shows the same words is nobody's node."""


@dataclass(frozen=True)
class Process:
    """A process. Its start, in clock ticks since this computer's, tells it from a later one of the same number."""

    pid: int
    started_ticks: int
    program: str
    words: tuple[str, ...]

    @property
    def machine(self) -> str:
        """The machine in its command line, empty when there is none."""
        mark = machine_word("")
        return next((word.removeprefix(mark) for word in self.words if word.startswith(mark)), "")


def machine_processes() -> list[Process]:
    """The processes of all lab nodes, of other nspawn machines too: ask for their machine's name."""
    return [process for process in _all() if process.program in PROGRAMS and process.machine]


def processes_of(machine: str) -> list[Process]:
    """The processes on this computer that are the machine."""
    return [process for process in machine_processes() if process.machine == machine]


def send(name: str, processes: list[Process]) -> None:
    """Signals those that are still the processes that they were."""
    same = [process.pid for process in processes if _read(process.pid) == process]
    if same:
        run_as_root(signal(name, same), check=False)  # one may end meanwhile: who waits for it sees that


def _all() -> Iterator[Process]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and (process := _read(int(entry.name))):
            yield process


def _read(pid: int) -> Process | None:
    """The process, None when it has ended (a zombie has no command line)."""
    folder = Path("/proc") / str(pid)
    try:
        words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        stat = (folder / "stat").read_text(errors="replace")
    except OSError:
        return None
    # proc(5): field 2 is the name in parentheses and may hold anything; the start time is field 22.
    program, fields = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
    return Process(pid, int(fields[19]), program, tuple(words)) if words else None
