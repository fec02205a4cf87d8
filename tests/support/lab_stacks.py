"""Stacks of lab nodes for tests, with names and networks that nobody else uses."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from infra.plan.nodes import lab_network
from provisioning import lab
from provisioning.lab.folders import lab_dir
from provisioning.lab.names import StackNames
from support.claims import claimed_name
from support.shell import Shell
from support.traces import traces_of


@dataclass(frozen=True)
class StartedNode:
    """A started node and a way in."""

    state: lab.LabNodeState
    facts: lab.LabNodeFacts

    @property
    def shell(self) -> Shell:
        """root's shell, believing only the node's own host key."""
        return Shell.of(self.facts)

    def sh(self, script: str, stdin: str = "") -> str:
        """The script's output; a failing script fails the test with what it said."""
        return self.shell.run(script, stdin)

    def try_sh(self, script: str) -> subprocess.CompletedProcess[str]:
        """How the script ended."""
        return self.shell.try_run(script)


@dataclass(frozen=True)
class LabStack:
    """A stack whose nodes are called node-1 (at .11), node-2 (at .12) and so on."""

    name: str

    @property
    def network(self) -> str:
        """The one that a fleet of this name gets."""
        return str(lab_network(self.name))

    @cached_property
    def names(self) -> StackNames:
        """What its things are called on this computer."""
        return StackNames(str(lab_dir()), self.name)

    def address(self, host: int) -> str:
        """That host of the network."""
        return str(lab_network(self.name)[host])

    def state(self, node: str, **fields: Any) -> lab.LabNodeState:
        """What the node should be; `fields` replace the usual ones."""
        address = self.address(10 + int(node.rpartition("-")[2]))
        usual = {"stack": self.name, "name": node, "network": self.network, "address": address}
        return lab.LabNodeState(**{**usual, **fields})

    def start(self, node: str = "node-1", **fields: Any) -> StartedNode:
        """Starts the node, or adopts it."""
        state = self.state(node, **fields)
        return StartedNode(state, lab.start(state))


@contextmanager
def swept_lab_stack() -> Iterator[LabStack]:
    """A stack without nodes; at the end of the block nothing is left of it, whatever was done to it."""
    with claimed_name() as name:
        try:
            yield LabStack(name)
        finally:
            lab.sweep(name)
            assert traces_of(name) == []
