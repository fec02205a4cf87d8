"""Rules about the state store: its nodes, its ports, and keys that say nothing alone."""

from __future__ import annotations

from collections.abc import Iterator

from infra.spec.addresses import is_ipv4
from infra.spec.document import Fault, Path
from infra.spec.fleet import FleetSpec
from infra.spec.kinds import GatewayKind, StateHa, StateKind
from infra.spec.problems import did_you_mean
from infra.spec.rules.pools import nodes_of, ports_of
from infra.spec.state import SENTINEL_PORT_STEP


def the_store_names_known_nodes(spec: FleetSpec) -> Iterator[Fault]:
    """Each node that carries a server of the store exists, and is named once."""
    named: list[tuple[Path, str]] = [
        (("state", "nodes", i), name) for i, name in enumerate(spec.state.nodes or ())
    ]
    if spec.state.node is not None:
        named.append((("state", "node"), spec.state.node))
    known = spec.nodes.names
    for index, (path, name) in enumerate(named):
        if known and name not in known:
            hint = did_you_mean(name, known) or f": the nodes are {', '.join(known)}"
            yield Fault(path, f"names {name}, which is no node of this fleet{hint}")
        elif name in (other for _, other in named[:index]) and path[1] == "nodes":
            yield Fault(
                path,
                f"names {name} a second time: a Sentinel on a node of its own is what survives that node",
            )


def sentinel_has_three_nodes(spec: FleetSpec) -> Iterator[Fault]:
    """Two Sentinels cannot outvote anybody, and one node is no second place."""
    state = spec.state
    if state.ha is StateHa.NONE and state.nodes is not None:
        yield Fault(("state", "nodes"), "goes with ha: sentinel only: write node, or ha: sentinel")
    if state.ha is StateHa.SENTINEL and len(state.nodes or ()) != 3:
        yield Fault(("state", "ha"), "sentinel needs nodes, a list of three: two cannot outvote the third")
    if state.ha is StateHa.SENTINEL and state.node is not None:
        yield Fault(("state", "node"), "goes with ha: none only: name the three under nodes")


def the_store_has_ports_of_its_own(spec: FleetSpec) -> Iterator[Fault]:
    """No replica, no gateway and no sshd listens where the store may stand."""
    state = spec.state
    if state.kind is StateKind.NONE:
        return
    places = _places(spec)
    ports = {state.port} | ({state.port + SENTINEL_PORT_STEP} if state.ha is StateHa.SENTINEL else set())
    if max(ports) > 65_535:
        yield Fault(
            ("state", "port"), f"leaves no port for Sentinel, {SENTINEL_PORT_STEP} above it: lower it"
        )
    for name, pool in spec.pools.items():
        if ports & set(ports_of(pool)) and places & set(nodes_of(pool, spec.nodes)):
            yield Fault(("state", "port"), f"is a port of the pool {name} as well: give another")
    gateway = spec.gateway
    if (
        gateway.kind is not GatewayKind.NONE
        and gateway.port in ports
        and (gateway.node is None or gateway.node in places)
    ):
        yield Fault(("state", "port"), "is the gateway's port as well: give another")
    for host in spec.nodes.hosts:
        if host.name in places and host.port in ports:
            yield Fault(("state", "port"), f"is where sshd of {host.name} listens: give another")


def machines_of_the_store_have_addresses(spec: FleetSpec) -> Iterator[Fault]:
    """The store binds to a number; a gateway asks the same of every machine already."""
    if spec.state.kind is StateKind.NONE or spec.gateway.kind is not GatewayKind.NONE:
        return
    places = _places(spec)
    for index, host in enumerate(spec.nodes.hosts):
        if host.name in places and host.listen_address is None and not is_ipv4(host.address):
            text = f"is missing: with a state store {host.name} needs the machine's own IPv4 address, not a name alone"
            yield Fault(("nodes", "hosts", index, "listen_address"), text)


def _places(spec: FleetSpec) -> frozenset[str]:
    """Nodes where a server of the store may stand."""
    state = spec.state
    return frozenset(state.nodes or ((state.node,) if state.node else spec.nodes.names))
