"""The machines of a fleet as the plan sees them: lab nodes get addresses here, SSH hosts bring their own."""

from __future__ import annotations

import ipaddress
import zlib

from infra.catalog.devices import Device, device_named
from infra.cost.money import gpu_price, price_origin
from infra.errors import SizingError
from infra.plan.engine import MODELS_FOLDER, installed_engine, lab_engine, min_driver
from infra.plan.fleet_plan import EnginePlan, LabPlan, NodePlan
from infra.plan.litellm import lab_program
from infra.spec import FleetSpec
from infra.spec.kinds import GatewayKind
from infra.spec.nodes import HostSpec, Lab

LAB_DEVICE = "CPU"
_LAB_FIRST_HOST = 11
_LAB_NETWORKS = ipaddress.IPv4Network("198.18.0.0/15")
"""Reserved for benchmarks between networks (RFC 2544), so it collides with no network that carries traffic."""


def plan_nodes(spec: FleetSpec) -> tuple[NodePlan, ...]:
    """Every node of the spec, in its order."""
    if spec.nodes.lab is not None:
        return _lab_nodes(spec, spec.nodes.lab)
    return tuple(_ssh_node(host, spec.engine.version) for host in spec.nodes.hosts)


def lab_network(fleet: str) -> ipaddress.IPv4Network:
    """The /24 of a fleet that names none: a number made from the fleet's name, so that two fleets seldom meet."""
    networks = list(_LAB_NETWORKS.subnets(new_prefix=24))
    return networks[zlib.crc32(fleet.encode()) % len(networks)]


def _lab_nodes(spec: FleetSpec, lab: Lab) -> tuple[NodePlan, ...]:
    network, engine = lab.network or lab_network(spec.name), lab_engine(spec.engine.version)
    plan = LabPlan(str(network), str(network[1]), _lab_binds(spec, engine))
    return tuple(
        NodePlan(
            name=name,
            source="lab",
            address=str(network[_LAB_FIRST_HOST + index]),
            listen_address=str(network[_LAB_FIRST_HOST + index]),
            port=22,
            user="root",
            identity_file="",
            host_key="",
            password_config="",
            device=LAB_DEVICE,
            device_count=1,
            min_driver=0,
            kv_cache_memory_bytes=lab.kv_cache_memory_bytes,
            engine=engine,
            price_per_hour=0.0,
            price_source="a lab node runs on this computer",
            lab=plan,
        )
        for index, name in enumerate(spec.nodes.names)
    )


def _lab_binds(spec: FleetSpec, engine: EnginePlan) -> dict[str, str]:
    """Folders that a lab node sees read-only: path on the node to path below the cache, as the set-up left it."""
    generated = {name for name, model in spec.models.items() if model.weights.generated}
    litellm = {lab_program().folder: "ready/litellm"} if spec.gateway.kind is GatewayKind.LITELLM else {}
    return {
        engine.folder: "ready/engine",
        **litellm,
        **{f"{MODELS_FOLDER}/{name}": "ready/tiny-model" for name in sorted(generated)},
    }


def _ssh_node(host: HostSpec, version: str) -> NodePlan:
    device = _device(host)
    on_cpu = device.kind == "cpu"
    price = gpu_price(device, host.price_per_hour)
    return NodePlan(
        name=host.name,
        source="ssh",
        address=host.address,
        listen_address=host.listen_address or host.address,
        port=host.port,
        user=host.user,
        identity_file=host.identity_file or "",
        host_key=host.host_key or "",
        password_config=host.password_config or "",
        device=device.name,
        device_count=host.devices,
        min_driver=0 if on_cpu else min_driver(version),
        kv_cache_memory_bytes=(host.kv_cache_memory_bytes or 0) if on_cpu else None,
        engine=installed_engine(version, on_cpu=on_cpu),
        price_per_hour=price.usd_per_hour * host.devices if price else None,
        price_source=price_origin(price),
        lab=None,
    )


def _device(host: HostSpec) -> Device:
    try:
        return device_named(host.device)
    except SizingError as error:
        raise SizingError(f"nodes.hosts.{host.name}.device", error.message) from None
