"""What a stack's things are called on this computer. Pure.

A leftover is recognised by its name alone, so every name holds a key made from the stack and the state folder: two
people's stacks of one name are two stacks. Linux gives 15 characters to the name of a network interface.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address

PREFIX = "afl-"
TABLE_PREFIX = "agentfleet_lab_"
_NOTE = re.compile(r"agentfleet-lab stack=(?P<stack>\S+) ip_forward=(?P<ip_forward>[01])")


@dataclass(frozen=True)
class StackNames:
    """Names of one stack's things; `home` is the state folder that its records are in."""

    home: str
    stack: str

    @cached_property
    def key(self) -> str:
        """Eight hex digits."""
        return hashlib.sha256(f"{self.home}\0{self.stack}".encode()).hexdigest()[:8]

    @property
    def bridge(self) -> str:
        """The network interface that joins this computer and the stack's nodes."""
        return f"{PREFIX}{self.key}"

    @property
    def table(self) -> str:
        """The nft table, of the family inet."""
        return f"{TABLE_PREFIX}{self.key}"

    def machine(self, node: str) -> str:
        """The node's machine, network namespace and control group."""
        return f"{PREFIX}{self.key}-{node}"

    def node(self, machine: str) -> str | None:
        """The node that `machine` is, None when it belongs to somebody else."""
        prefix = self.machine("")
        return machine.removeprefix(prefix) if machine.startswith(prefix) else None

    def veth(self, address: str) -> str:
        """This computer's end of the node's cable. The last byte of an address is unique in a /24."""
        return f"{PREFIX}{self.key}-{int(IPv4Address(address)) & 0xFF:02x}"

    def owns_veth(self, interface: str) -> bool:
        """Whether `interface` is a cable of this stack."""
        return bool(re.fullmatch(rf"{PREFIX}{self.key}-[0-9a-f]{{2}}", interface))


@dataclass(frozen=True)
class BridgeNote:
    """What a lab's bridge says about itself in its alias (`ip link show` prints it).

    It lives and dies with the bridge, as a file would not: whose it is, and whether this computer forwarded packets
    before the first lab.
    """

    stack: str
    ip_forward: bool

    def __str__(self) -> str:
        """The text of the alias."""
        return f"agentfleet-lab stack={self.stack} ip_forward={int(self.ip_forward)}"


def parse_note(alias: str) -> BridgeNote | None:
    """The note in an interface's alias, None when it is not a lab's bridge."""
    match = _NOTE.fullmatch(alias)
    return BridgeNote(match["stack"], match["ip_forward"] == "1") if match else None
