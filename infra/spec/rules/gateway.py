"""Rules about the gateway: the node and port that it takes, and its certificate."""

from __future__ import annotations

from collections.abc import Iterator

from infra.spec.addresses import is_ipv4
from infra.spec.document import Fault
from infra.spec.fleet import FleetSpec
from infra.spec.gateway import INNER_PORT_STEP
from infra.spec.kinds import GatewayKind, TlsKind
from infra.spec.problems import did_you_mean
from infra.spec.rules.pools import nodes_of, ports_of


def gateway_names_a_known_node(spec: FleetSpec) -> Iterator[Fault]:
    """The node that carries the gateway exists."""
    node, known = spec.gateway.node, spec.nodes.names
    if node is not None and known and node not in known:
        hint = did_you_mean(node, known) or f": the nodes are {', '.join(known)}"
        yield Fault(("gateway", "node"), f"names {node}, which is no node of this fleet{hint}")


def the_gateway_has_a_port_of_its_own(spec: FleetSpec) -> Iterator[Fault]:
    """No replica and no sshd listens where the gateway may stand."""
    gateway = spec.gateway
    if gateway.kind is GatewayKind.NONE:
        return
    places = spec.nodes.names if gateway.node is None else (gateway.node,)
    for name, pool in spec.pools.items():
        if gateway.port in ports_of(pool) and set(places) & set(nodes_of(pool, spec.nodes)):
            yield Fault(("gateway", "port"), f"is a port of the pool {name} as well: give another")
    for host in spec.nodes.hosts:
        if host.name in places and host.port == gateway.port:
            yield Fault(("gateway", "port"), f"is where sshd of {host.name} listens: give another")


def litellm_leaves_a_port_for_the_gateway(spec: FleetSpec) -> Iterator[Fault]:
    """nginx listens above it, on loopback."""
    if spec.gateway.kind is GatewayKind.LITELLM and spec.gateway.port + INNER_PORT_STEP > 65_535:
        text = f"leaves no port for nginx behind LiteLLM, {INNER_PORT_STEP} above it: lower it"
        yield Fault(("gateway", "port"), text)


def certificates_have_their_files(spec: FleetSpec) -> Iterator[Fault]:
    """Both paths with kind files, and none otherwise."""
    tls = spec.gateway.tls
    for key, path in (("certificate", tls.certificate), ("key", tls.key)):
        if tls.kind is TlsKind.FILES and path is None:
            yield Fault(("gateway", "tls"), f"needs {key}, a path on the node, with kind files")
        if tls.kind is not TlsKind.FILES and path is not None:
            yield Fault(("gateway", "tls", key), "is only for kind files: remove it, or write kind: files")


def client_keys_are_distinct(spec: FleetSpec) -> Iterator[Fault]:
    """Each client's key has a name of its own; apiKey is the fleet's."""
    names = spec.gateway.client_key_configs
    for index, name in enumerate(names):
        if name == "apiKey":
            text = "is the fleet's own key, which every stack has: remove it"
            yield Fault(("gateway", "client_key_configs", index), text)
        elif name in names[:index]:
            yield Fault(("gateway", "client_key_configs", index), f"names {name} a second time: remove it")


def machines_behind_a_gateway_have_addresses(spec: FleetSpec) -> Iterator[Fault]:
    """The gateway and the firewalls behind it need numbers, which a name could change under them."""
    if spec.gateway.kind is GatewayKind.NONE:
        return
    for index, host in enumerate(spec.nodes.hosts):
        if host.listen_address is None and not is_ipv4(host.address):
            text = f"is missing: behind a gateway {host.name} needs the machine's own IPv4 address, not a name alone"
            yield Fault(("nodes", "hosts", index, "listen_address"), text)
