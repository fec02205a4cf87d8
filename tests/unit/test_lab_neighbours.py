"""Who else uses a network, from what ip and nft print."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Any

import pytest

from provisioning.lab.names import BridgeNote
from provisioning.lab.neighbours import forward_blockers, has_address, interfaces, lab_bridges, user_of

OURS = "afl-11111111"
NETWORK = IPv4Network("198.18.7.0/24")
BRIDGES = {"afl-22222222": BridgeNote("stage2", ip_forward=False)}


def held(interface: str, address: str, bits: int) -> dict[str, Any]:
    return {"ifname": interface, "addr_info": [{"family": "inet", "local": address, "prefixlen": bits}]}


@pytest.mark.parametrize(
    ("addresses", "routes", "user"),
    [
        ([held("eth0", "192.0.2.2", 24)], [{"dst": "192.0.2.0/24", "dev": "eth0"}], None),
        ([held(OURS, "198.18.7.1", 24)], [{"dst": "198.18.7.0/24", "dev": OURS}], None),
        ([held("docker0", "198.18.7.129", 25)], [], "docker0 (address 198.18.7.129/25)"),
        ([], [{"dst": "198.18.0.0/15", "dev": "wg0"}], "wg0 (route 198.18.0.0/15)"),
        ([], [{"dst": "198.18.7.9", "dev": "wg0"}], "wg0 (route 198.18.7.9)"),
        ([], [{"type": "unreachable", "dst": "198.18.0.0/16"}], "route 198.18.0.0/16"),
        ([held("afl-22222222", "198.18.7.1", 24)], [], "the lab of stack stage2 (address 198.18.7.1/24)"),
        ([], [{"dst": "default", "dev": "eth0"}, {"dst": "128.0.0.0/1", "dev": "tun0"}], None),
        ([{}], [{}], None),
    ],
    ids=[
        "elsewhere",
        "our own",
        "address",
        "wider route",
        "one host",
        "no device",
        "another lab",
        "ways out",
        "empty",
    ],
)
def test_user_of_a_network(
    addresses: list[dict[str, Any]], routes: list[dict[str, Any]], user: str | None
) -> None:
    assert user_of(NETWORK, OURS, addresses, routes, BRIDGES) == user


def test_bridges_of_labs_are_known_by_their_alias() -> None:
    links = [
        {"ifname": "lo"},
        {"ifname": "br0", "ifalias": "office"},
        {"ifname": OURS, "ifalias": "agentfleet-lab stack=stage1 ip_forward=1"},
        {},
    ]
    assert lab_bridges(links) == {OURS: BridgeNote("stage1", ip_forward=True)}


def test_interfaces_name_the_bridge_that_they_are_in() -> None:
    assert interfaces([{"ifname": "lo"}, {"ifname": "veth0", "master": "br0"}, {}]) == {
        "lo": "",
        "veth0": "br0",
    }


def test_an_address_counts_only_on_its_interface() -> None:
    addresses = [held("eth0", "198.18.7.1", 24), {"ifname": "lo", "addr_info": []}]
    assert has_address(addresses, "eth0", "198.18.7.1")
    assert not has_address(addresses, OURS, "198.18.7.1")
    assert not has_address(addresses, "eth0", "198.18.7.11")


def chain(table: str, hook: str, policy: str) -> dict[str, Any]:
    return {"chain": {"family": "ip", "table": table, "name": "c", "hook": hook, "policy": policy}}


def test_only_a_foreign_firewall_that_drops_what_is_forwarded_is_in_the_way() -> None:
    listing = [
        {"metainfo": {"version": "1.0.6"}},
        chain("filter", "forward", "drop"),
        chain("filter", "input", "drop"),
        chain("other", "forward", "accept"),
        chain("agentfleet_lab_11111111", "forward", "drop"),
        {"chain": {"family": "ip", "table": "filter", "name": "DOCKER"}},
    ]
    assert forward_blockers(listing) == ["ip filter"]
