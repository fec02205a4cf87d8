"""Rules about the machines of a spec."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from infra.catalog.devices import device_named
from infra.errors import SizingError
from infra.spec.document import Fault
from infra.spec.fleet import FleetSpec
from infra.spec.kinds import NodeSource
from infra.spec.nodes import HostSpec
from infra.spec.rules.pools import nodes_of


def source_and_machines_agree(spec: FleetSpec) -> Iterator[Fault]:
    """Source lab has no hosts; source ssh has hosts and no lab."""
    nodes = spec.nodes
    if nodes.source is NodeSource.LAB and nodes.hosts:
        yield Fault(("nodes", "hosts"), "goes with source ssh only: remove it, or write source: ssh")
    if nodes.source is NodeSource.SSH and nodes.lab is not None:
        yield Fault(("nodes", "lab"), "goes with source lab only: remove it, or write source: lab")
    if nodes.source is NodeSource.SSH and not nodes.hosts:
        yield Fault(("nodes", "hosts"), "source ssh needs at least one host: list the machines under hosts")


def lab_network_is_private(spec: FleetSpec) -> Iterator[Fault]:
    """A /24, so that .1 is this computer and .11 the first node; private, because it gets a route."""
    network = spec.nodes.lab and spec.nodes.lab.network
    if not network:
        return
    path = ("nodes", "lab", "network")
    if network.prefixlen != 24:
        yield Fault(path, f"must be a /24 network, such as {_slash_24(network)}, not {network}")
    elif not network.is_private or network.is_loopback or network.is_link_local:
        yield Fault(path, f"must be a private network, such as 198.18.7.0/24, not {network}")


def _slash_24(network: IPv4Network) -> IPv4Network:
    return IPv4Network((network.network_address, 24), strict=False)


def hosts_are_distinct(spec: FleetSpec) -> Iterator[Fault]:
    """No name and no address twice: two entries for one machine would fight over it."""
    names: dict[str, int] = {}
    addresses: dict[str, str] = {}
    for index, host in enumerate(spec.nodes.hosts):
        path = ("nodes", "hosts", index)
        if host.name in names:
            yield Fault(
                (*path, "name"), f"{host.name} is the name of hosts[{names[host.name]}] too: rename one"
            )
        if host.address in addresses:
            yield Fault(
                (*path, "address"),
                f"{host.address} is the address of {addresses[host.address]} too: each host is a machine of its own",
            )
        names.setdefault(host.name, index)
        addresses.setdefault(host.address, host.name)


def one_way_to_log_in(spec: FleetSpec) -> Iterator[Fault]:
    """A key or a password, not both: else nobody knows which one a failed login was about."""
    for index, host in enumerate(spec.nodes.hosts):
        if host.identity_file is not None and host.password_config is not None:
            yield Fault(
                ("nodes", "hosts", index, "password_config"),
                "stands beside identity_file: keep one of them",
            )


def servers_without_gpu_state_their_kv_cache(spec: FleetSpec) -> Iterator[Fault]:
    """A GPU's memory is the engine's alone, a server's is not: how much of it the KV cache gets is the operator's.

    A server that no pool may use, because it carries the gateway or the state store alone, has no KV cache.
    """
    engines = {name for pool in spec.pools.values() for name in nodes_of(pool, spec.nodes)}
    for index, host in enumerate(spec.nodes.hosts):
        path = ("nodes", "hosts", index)
        stated = host.kv_cache_memory_bytes is not None or host.name not in engines
        match _has_gpus(host):
            case True if host.kv_cache_memory_bytes is not None:
                yield Fault(
                    (*path, "kv_cache_memory"),
                    "goes with device cpu only: remove it; engine.gpu_memory_utilization sets a GPU's share",
                )
            case False if not stated:
                yield Fault(
                    (*path, "kv_cache_memory"),
                    "is missing: give the size of each replica's KV cache on a server without a GPU, such as 4GiB",
                )
        if _has_gpus(host) is False and host.devices > 1:
            yield Fault((*path, "devices"), f"must be 1 on a server without a GPU, not {host.devices}")


def _has_gpus(host: HostSpec) -> bool | None:
    """None for a device that is not in the catalog, which the plan names with its nearest neighbours."""
    try:
        return device_named(host.device).kind == "gpu"
    except SizingError:
        return None
