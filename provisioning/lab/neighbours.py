"""Who else uses this computer's networks, read from what `ip -j` and `nft -j` print. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network
from typing import Any

from provisioning.lab.names import TABLE_PREFIX, BridgeNote, parse_note

SHORTEST_CLAIM_BITS = 8
"""A route of fewer bits is a way out (a VPN's 0.0.0.0/1), not a claim on the addresses behind it."""

Listing = Sequence[Mapping[str, Any]]


def interfaces(links: Listing) -> dict[str, str]:
    """Every network interface and the bridge that it belongs to, if any, from `ip -j link show`."""
    return {link["ifname"]: link.get("master", "") for link in _real(links)}


def lab_bridges(links: Listing) -> dict[str, BridgeNote]:
    """The bridges of all labs of this computer, by name, from `ip -j link show`."""
    notes = {link["ifname"]: parse_note(link.get("ifalias", "")) for link in _real(links)}
    return {name: note for name, note in notes.items() if note}


def has_address(addresses: Listing, interface: str, address: str) -> bool:
    """Whether `interface` holds `address` ("198.18.7.1"), from `ip -j -4 address show`."""
    return any(name == interface and held == address for name, held, _ in _held(addresses))


def user_of(
    network: IPv4Network,
    own_bridge: str,
    addresses: Listing,
    routes: Listing,
    bridges: Mapping[str, BridgeNote],
) -> str | None:
    """Who uses a part of `network` on this computer, in words; None when it is free.

    `routes` is from `ip -j -4 route show table all`.
    """
    claims = [
        (name, f"address {on}/{bits}", IPv4Network((on, bits), strict=False))
        for name, on, bits in _held(addresses)
    ]
    claims += [
        (route.get("dev", ""), f"route {route['dst']}", _destination(route)) for route in _real(routes)
    ]
    for interface, claim, claimed in claims:
        if interface != own_bridge and claimed.prefixlen >= SHORTEST_CLAIM_BITS and claimed.overlaps(network):
            if interface in bridges:
                return f"the lab of stack {bridges[interface].stack} ({claim})"
            return f"{interface} ({claim})" if interface else claim
    return None


def forward_blockers(chains: Iterable[Mapping[str, Any]]) -> list[str]:
    """Firewalls that drop forwarded packets unless told otherwise, from `nft -j list chains`.

    A packet must pass every table, so ours cannot let through what another one drops.
    """
    found = [entry["chain"] for entry in chains if "chain" in entry]
    return [
        f"{chain['family']} {chain['table']}"
        for chain in found
        if chain.get("hook") == "forward"
        and chain.get("policy") == "drop"
        and not chain["table"].startswith(TABLE_PREFIX)
    ]


def _held(addresses: Listing) -> list[tuple[str, str, int]]:
    """Interface, address, bits."""
    return [
        (link["ifname"], info["local"], info["prefixlen"])
        for link in _real(addresses)
        for info in link.get("addr_info", [])
    ]


def _destination(route: Mapping[str, Any]) -> IPv4Network:
    destination = route["dst"]
    return IPv4Network("0.0.0.0/0" if destination == "default" else destination)


def _real(listing: Listing) -> Listing:
    """Without the empty objects that `ip -j` prints for what its filter leaves out."""
    return [entry for entry in listing if entry]
