"""Whatever on this computer still bears a test's mark."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from provisioning.lab.folders import lab_dir
from provisioning.lab.names import StackNames

ROOT = Path(__file__).resolve().parents[2]
GENERATED = frozenset({".git", ".venv", ".hypothesis", "__pycache__"})


def traces_of(*stacks: str) -> list[str]:
    """Network interfaces, namespaces, firewall tables, processes, mounts and folders of these stacks."""
    marks = [mark for stack in stacks for mark in (stack, StackNames(str(lab_dir()), stack).key)]
    return [line for line in _computer() if any(mark in line for mark in marks)]


def files_of(stacks: Sequence[str]) -> list[str]:
    """Files of the working tree that are called after one of the stacks."""
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in GENERATED]
        found += [
            str(Path(folder, name)) for name in [*folders, *files] if any(stack in name for stack in stacks)
        ]
    return found


def processes_with(variable: str, value: str) -> list[str]:
    """Processes, other than this one, that were started with this environment variable."""
    entry = f"{variable}={value}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(folder.name) != os.getpid() and entry in (folder / "environ").read_bytes().split(b"\0"):
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                found.append(f"process {folder.name}: {' '.join(words)}")
        except OSError:
            continue  # it has ended, or belongs to somebody else
    return found


def _computer() -> Iterator[str]:
    """One line for each thing that a lab could leave, under the name of its place."""
    below = ("-path", "*/disk", "-prune", "-o", "-print")
    places = {
        "link": ["ip", "-br", "link"],
        "namespace": ["ip", "netns"],
        "nft": ["nft", "list", "tables"],
        "process": ["ps", "-e", "-o", "args"],
        "mount": ["cat", "/proc/self/mountinfo"],
        "folder": ["find", "/sys/fs/cgroup", "/run/systemd/nspawn", str(lab_dir()), *below],
    }
    for place, words in places.items():
        listing = subprocess.run(words, capture_output=True, text=True, check=False).stdout
        yield from (f"{place}: {line}" for line in listing.splitlines())
