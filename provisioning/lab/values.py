"""What a lab node should be, and what one is."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import PurePosixPath

from provisioning.errors import LabError

STACK_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
NODE_NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
"""A hostname. With the prefix of names.py it stays below the 64 characters that Linux gives to one."""


@dataclass(frozen=True)
class LabNodeState:
    """A lab node as it should be; raises LabError where it cannot be.

    `network` is a CIDR of 29 to 24 bits such as 198.18.7.0/24, the same for all nodes of a stack; its first address is
    this computer's, `address` the node's. `image` is a release's codename; empty means the image of the set-up.
    `binds` shows folders of the cache in the node, read-only: path in the node to path below the cache.
    `authorized_key` is one more public key that may log in as root, beside this computer's own.
    """

    stack: str
    name: str
    network: str
    address: str
    image: str = ""
    binds: Mapping[str, str] = field(default_factory=dict)
    authorized_key: str = ""

    def __post_init__(self) -> None:
        if not STACK_NAME.fullmatch(self.stack):
            raise LabError(f"stack {self.stack!r}: a lab stack's name is letters, digits, '.', '_' and '-'")
        if not NODE_NAME.fullmatch(self.name):
            raise LabError(
                f"node {self.name!r}: a lab node's name is a hostname of a-z, 0-9 and '-', at most 40"
            )
        self._check_network()
        for inside, below_cache in self.binds.items():
            source = PurePosixPath(below_cache)
            if not PurePosixPath(inside).is_absolute() or source.is_absolute() or ".." in source.parts:
                raise LabError(
                    f"node {self.name}: bind of {below_cache} at {inside}: give a folder of the cache "
                    "and an absolute path in the node"
                )

    def _check_network(self) -> None:
        try:
            network, address = IPv4Network(self.network), IPv4Address(self.address)
        except ValueError as error:
            raise LabError(f"node {self.name}: nodes.lab.network: {error}") from error
        if not 24 <= network.prefixlen <= 29:
            raise LabError(
                f"nodes.lab.network: {network} must have between 24 and 29 bits, such as 198.18.7.0/24"
            )
        if address not in list(network.hosts())[1:]:
            raise LabError(
                f"node {self.name}: its address {address} must lie in {network}, "
                f"after {self.gateway.ip}, which is this computer's"
            )

    @property
    def gateway(self) -> ipaddress.IPv4Interface:
        """This computer's address in the stack's network, and the length of its prefix."""
        network = IPv4Network(self.network)
        return ipaddress.IPv4Interface(f"{network.network_address + 1}/{network.prefixlen}")

    @property
    def interface(self) -> ipaddress.IPv4Interface:
        """The node's address and the length of its prefix."""
        return ipaddress.IPv4Interface(f"{self.address}/{IPv4Network(self.network).prefixlen}")


@dataclass(frozen=True)
class LabNodeFacts:
    """A lab node as it is.

    `host_key` is what its sshd shows ("ssh-ed25519 AAAA…"), empty when a start was cut off before it was made.
    `running` is False for a node whose machine died or whose network is gone: start() brings it back with its disk.
    """

    address: str
    port: int
    user: str
    host_key: str
    identity_file: str
    running: bool
