"""Stacks of lab nodes for tests, with names and networks that nobody else uses."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provisioning import lab
from provisioning.lab import commands
from provisioning.lab.folders import lab_dir, recorded_stacks
from provisioning.lab.names import StackNames

_NAME = re.compile(r"test-(\d+)-\d+")
_counter = itertools.count(1)


@dataclass(frozen=True)
class StartedNode:
    """A started node and a way in."""

    state: lab.LabNodeState
    facts: lab.LabNodeFacts
    known_hosts: Path

    def try_sh(self, script: str) -> subprocess.CompletedProcess[str]:
        """Runs a script in the node as root, believing only the node's pinned host key."""
        self.known_hosts.write_text(f"{self.facts.address} {self.facts.host_key}\n")
        words = commands.login(self.facts.address, Path(self.facts.identity_file), self.known_hosts, [script])
        return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)

    def sh(self, script: str) -> str:
        """The script's output; the test fails with its stderr if it fails."""
        ended = self.try_sh(script)
        assert ended.returncode == 0, f"{script!r}: exit {ended.returncode}: {ended.stderr}"
        return ended.stdout


@dataclass(frozen=True)
class LabStack:
    """A stack whose nodes are called node-1 (at .11), node-2 (at .12) and so on."""

    folder: Path
    name: str = field(default_factory=lambda: f"test-{os.getpid()}-{next(_counter)}")

    @property
    def network(self) -> str:
        """In 198.18.0.0/15, which is set aside for tests of networks (RFC 2544)."""
        number = zlib.crc32(self.name.encode()) % 512
        return f"198.{18 + number // 256}.{number % 256}.0/24"

    @property
    def names(self) -> StackNames:
        """What its things are called on this computer."""
        return StackNames(str(lab_dir()), self.name)

    def state(self, node: str, **fields: Any) -> lab.LabNodeState:
        """What the node should be; `fields` replace the usual ones."""
        address = self.network.replace(".0/24", f".{10 + int(node.rpartition('-')[2])}")
        usual = {"stack": self.name, "name": node, "network": self.network, "address": address}
        return lab.LabNodeState(**{**usual, **fields})

    def start(self, node: str = "node-1", **fields: Any) -> StartedNode:
        """Starts the node, or adopts it."""
        state = self.state(node, **fields)
        return StartedNode(state, lab.start(state), self.folder / f"known_hosts-{self.name}-{node}")


def traces(stack: LabStack) -> list[str]:
    """Whatever on this computer bears the stack's name."""
    names = stack.names
    places = {
        "links": ["ip", "-br", "link"],
        "namespaces": ["ip", "netns"],
        "nft": ["nft", "list", "tables"],
        "processes": ["ps", "-e", "-o", "args"],
        "mounts": ["cat", "/proc/self/mountinfo"],
        "folders": [
            "find",
            "/sys/fs/cgroup",
            "/run/systemd/nspawn",
            str(lab_dir()),
            "-path",
            "*/disk",
            "-prune",
            "-o",
            "-print",
        ],
    }
    found = []
    for place, words in places.items():
        listing = subprocess.run(words, capture_output=True, text=True, check=False).stdout
        found += [
            f"{place}: {line}"
            for line in listing.splitlines()
            if names.key in line or f"/{stack.name}" in line
        ]
    return found


def sweep_abandoned() -> None:
    """Sweeps the stacks of test runs that were killed."""
    for stack in recorded_stacks():
        match = _NAME.fullmatch(stack)
        if match and not Path("/proc", match[1]).exists():
            lab.sweep(stack)
