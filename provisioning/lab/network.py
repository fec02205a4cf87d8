"""A stack's network on this computer: a bridge, an own nft table, and forwarding while there is a lab."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Interface
from typing import Any

from provisioning.errors import LabError
from provisioning.lab import commands, neighbours
from provisioning.lab.local import run, run_as_root
from provisioning.lab.names import BridgeNote, StackNames


def ensure_network(names: StackNames, gateway: IPv4Interface, progress: Callable[[str], None]) -> None:
    """Makes the stack's network, or puts it right. Raises LabError when somebody else uses its addresses."""
    with _computer_lock():
        links = _links()
        bridges = neighbours.lab_bridges(links)
        addresses = _listing(["ip", "-j", "-4", "address", "show"])
        if not neighbours.has_address(addresses, names.bridge, str(gateway.ip)):
            _refuse_if_used(names, gateway, addresses, bridges)
            _warn_of_firewalls(progress)
        if names.bridge not in neighbours.interfaces(links):
            run_as_root(commands.make_bridge(names.bridge))
        note = bridges.get(names.bridge) or _new_note(names.stack, bridges)
        for words in commands.set_bridge(names.bridge, str(note), gateway):
            run_as_root(words)
        _run_fed(commands.load_table(names.table, names.bridge, gateway))
        if not _ip_forward():
            _run_fed(commands.set_ip_forward(True))


def remove_network(names: StackNames) -> None:
    """Takes the stack's network away; with the last lab of this computer goes the forwarding that was not there before.

    The bridge goes last: it is what remembers the rest.
    """
    with _computer_lock():
        links = _links()
        bridges = neighbours.lab_bridges(links)
        note = bridges.pop(names.bridge, None)
        if note and not note.ip_forward and not bridges:
            _run_fed(commands.set_ip_forward(False))
        _run_fed(commands.delete_table(names.table))
        for interface in [*filter(names.owns_veth, neighbours.interfaces(links)), names.bridge]:
            delete_interface(interface)


def delete_interface(interface: str) -> None:
    """Takes an interface away if it is there; one whose namespace just went may go by itself meanwhile."""
    if interface in neighbours.interfaces(_links()):
        gone = run_as_root(commands.delete_link(interface), check=False)
        if gone.exit_code != 0 and interface in neighbours.interfaces(_links()):
            raise LabError(f"the network interface {interface} cannot be deleted: {gone.stderr.strip()}")


def is_cabled(names: StackNames, address: str) -> bool:
    """Whether the node's cable ends in the stack's bridge."""
    return neighbours.interfaces(_links()).get(names.veth(address)) == names.bridge


def _refuse_if_used(
    names: StackNames, gateway: IPv4Interface, addresses: neighbours.Listing, bridges: dict[str, BridgeNote]
) -> None:
    routes = _listing(["ip", "-j", "-4", "route", "show", "table", "all"])
    if user := neighbours.user_of(gateway.network, names.bridge, addresses, routes, bridges):
        raise LabError(
            f"the network {gateway.network} is already used on this computer by {user}: "
            "write another one under nodes.lab.network in the spec"
        )


def _warn_of_firewalls(progress: Callable[[str], None]) -> None:
    answer = run_as_root(["nft", "-j", "list", "chains"], check=False)
    chains = json.loads(answer.stdout)["nftables"] if answer.exit_code == 0 else []
    for table in neighbours.forward_blockers(chains):
        progress(
            f"the firewall table '{table}' of this computer drops forwarded packets: if nodes do not reach the package "
            "mirror or each other, let it accept what comes from and goes to the interfaces afl-*"
        )


def _new_note(stack: str, bridges: dict[str, BridgeNote]) -> BridgeNote:
    """What the first lab found holds for all: a later one finds what the first one set."""
    first = next(iter(bridges.values()), None)
    return BridgeNote(stack, first.ip_forward if first else _ip_forward())


@contextmanager
def _computer_lock() -> Iterator[None]:
    """One caller at a time on this computer, of all stacks and users, changes networks.

    The lock is on the switch that they all share, so that there is no file to leave behind.
    """
    descriptor = os.open(commands.IP_FORWARD, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _ip_forward() -> bool:
    return commands.IP_FORWARD.read_text().strip() != "0"


def _run_fed(command: tuple[list[str], bytes]) -> None:
    words, stdin = command
    run_as_root(words, stdin=stdin)


def _links() -> list[dict[str, Any]]:
    return _listing(["ip", "-j", "link", "show"])


def _listing(words: list[str]) -> list[dict[str, Any]]:
    listing: list[dict[str, Any]] = json.loads(run(words).stdout or "[]")
    return listing
