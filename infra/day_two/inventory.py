"""What stands where: the stack's `inventory` output, written by the Pulumi program and read by the day-two verbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from infra.errors import FleetError
from infra.plan.fleet_plan import FleetPlan
from infra.plan.gateway import SERVICE as GATEWAY
from infra.plan.gateway import GatewayPlan
from infra.plan.litellm import SERVICE as LITELLM
from infra.plan.state import SERVICE as STATE
from infra.plan.state import StatePlan

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_Kind = TypeVar("_Kind", bound="DataclassInstance")


@dataclass(frozen=True)
class Machine:
    """How a node is reached; `password_config` names the setting with its password, empty where a key is enough."""

    address: str
    port: int
    user: str
    host_key: str
    identity_file: str
    password_config: str


@dataclass(frozen=True)
class Replica:
    """An engine; `local_url` is where its own node asks it, `slots` the full sessions that it was planned for."""

    name: str
    pool: str
    node: str
    unit: str
    local_url: str
    slots: int
    kv_tokens: int

    @property
    def address(self) -> str:
        """HOST:PORT, as the gateway reaches it."""
        return self.local_url.removeprefix("http://")


@dataclass(frozen=True)
class Gateway:
    """The program before the replicas; `rotate` is the command on its node that moves them out of the ring and in.

    `front_unit` is that of LiteLLM where clients meet it first, else empty. `ca` is the path on its node of the
    certificate of the fleet's own CA, empty where its own is none of that CA's.
    """

    kind: str
    node: str
    unit: str
    rotate: str
    base_url: str
    local_url: str
    drain_timeout_s: int
    front_unit: str = ""
    ca: str = ""


@dataclass(frozen=True)
class StateStore:
    """A server of agent state. On its node `cli` asks it, and `alarm` fails and says why when it is not well."""

    name: str
    node: str
    unit: str
    cli: str
    alarm: str


@dataclass(frozen=True)
class Inventory:
    """A stack's machines and services."""

    stack: str
    machines: Mapping[str, Machine]
    replicas: tuple[Replica, ...]
    gateway: Gateway | None
    stores: tuple[StateStore, ...] = ()

    def replicas_on(self, node: str) -> tuple[Replica, ...]:
        """Those of this node."""
        return tuple(replica for replica in self.replicas if replica.node == node)

    def units(self) -> dict[str, tuple[str, str]]:
        """Service to its node and its systemd unit: the gateway first, then replicas, then stores."""
        gateway = {GATEWAY: (self.gateway.node, self.gateway.unit)} if self.gateway else {}
        if self.gateway and self.gateway.front_unit:
            gateway[LITELLM] = (self.gateway.node, self.gateway.front_unit)
        replicas = {item.name: (item.node, item.unit) for item in self.replicas}
        stores = {item.name: (item.node, item.unit) for item in self.stores}
        found = {**gateway, **replicas, **stores}
        return {name: (node, f"{unit}.service") for name, (node, unit) in found.items()}


def inventory_output(
    stack: str, plan: FleetPlan, connections: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The output. `connections` holds how each node is reached, with the host key that it showed; never a password."""
    machines = {
        node.name: Machine(
            **{
                name: connections[node.name][name]
                for name in ("address", "port", "user", "host_key", "identity_file")
            },
            password_config=node.password_config,
        )
        for node in plan.nodes
    }
    replicas = [
        Replica(
            name=item.name,
            pool=item.pool,
            node=item.node,
            unit=item.unit,
            local_url=item.local_url,
            slots=item.slots,
            kv_tokens=item.memory.kv_cache_tokens,
        )
        for item in plan.replicas
    ]
    return {
        "stack": stack,
        "machines": {name: asdict(machine) for name, machine in machines.items()},
        "replicas": [asdict(replica) for replica in replicas],
        "gateway": asdict(_gateway(plan.gateway)) if plan.gateway else None,
        "state": {"stores": [asdict(store) for store in _stores(plan.state)]} if plan.state else None,
    }


def read_inventory(stack: str, outputs: Mapping[str, Any]) -> Inventory:
    """The inventory among a stack's outputs; keys that are not known here are passed over. Raises FleetError."""
    found = outputs.get("inventory")
    if not found:
        raise FleetError(
            f"stack {stack} has no inventory among its outputs: a `make up STACK={stack}` that ends well writes it"
        )
    try:
        return Inventory(
            stack=found["stack"],
            machines={name: _made(Machine, item) for name, item in found["machines"].items()},
            replicas=tuple(_made(Replica, item) for item in found["replicas"]),
            gateway=_made(Gateway, found["gateway"]) if found["gateway"] else None,
            stores=tuple(_made(StateStore, item) for item in (found.get("state") or {}).get("stores", ())),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise FleetError(
            f"stack {stack} was brought up by another version of agentfleet ({error!r} in its inventory): "
            f"run `make up STACK={stack}`"
        ) from error


def _gateway(plan: GatewayPlan) -> Gateway:
    scheme = plan.base_url.partition("://")[0]
    return Gateway(
        kind=plan.kind,
        node=plan.node,
        unit=plan.unit,
        rotate=plan.rotate,
        base_url=plan.base_url,
        local_url=f"{scheme}://{plan.listen_address}:{plan.port}",
        drain_timeout_s=plan.drain_timeout_s,
        front_unit=plan.litellm.unit if plan.litellm else "",
        ca=plan.ca,
    )


def _stores(plan: StatePlan) -> list[StateStore]:
    """One server is called after the service, several are numbered, the first primary first."""
    names = [STATE] if len(plan.members) == 1 else [f"{STATE}-{index}" for index in range(len(plan.members))]
    return [
        StateStore(name=name, node=member.node, unit=plan.unit, cli=plan.cli, alarm=f"{plan.folder}/alarm")
        for name, member in zip(names, plan.members, strict=True)
    ]


def _made(kind: type[_Kind], item: Mapping[str, Any]) -> _Kind:
    """The dataclass of these values; a missing one that has no default is a KeyError."""
    asked = (field.name for field in fields(kind) if field.default is MISSING or field.name in item)
    return kind(**{name: item[name] for name in asked})
