"""What an operator names of a stack: the services of a node, a service, or a node to drain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from infra.day_two.inventory import Gateway, Inventory, Replica
from infra.day_two.status import ReplicaStatus
from infra.errors import Refused, UnknownName
from provisioning.converge.ring_status import Member, find


def services_named(inventory: Inventory, name: str | None) -> dict[str, tuple[str, str]]:
    """Service to its node and unit: those of the node `name`, the service `name`, or all. Raises UnknownName."""
    units = inventory.units()
    if name is None:
        return units
    found = {service: place for service, place in units.items() if name in (service, place[0])}
    if found:
        return found
    if name in inventory.machines:
        raise UnknownName(f"stack {inventory.stack}: node {name} carries no service")
    known = f"services {', '.join(units)}; nodes {', '.join(inventory.machines)}"
    raise UnknownName(f"stack {inventory.stack} has no service or node {name}: it has the {known}")


def draining(inventory: Inventory, node: str) -> tuple[Gateway, tuple[Replica, ...]]:
    """The replicas that a drain of `node` is about, and their gateway. Raises UnknownName, or Refused without one."""
    if node not in inventory.machines:
        known = ", ".join(inventory.machines)
        raise UnknownName(f"stack {inventory.stack} has no node {node}: it has {known}")
    found = inventory.replicas_on(node)
    if not found:
        carrying = ", ".join(dict.fromkeys(replica.node for replica in inventory.replicas))
        raise UnknownName(
            f"stack {inventory.stack}: node {node} carries no replica; those with one: {carrying}"
        )
    if inventory.gateway is None:
        raise Refused(
            f"stack {inventory.stack} has no gateway: its clients reach the replicas directly, and nothing can send "
            "them elsewhere; stop the clients, or give the fleet a gateway (gateway.kind in its spec)"
        )
    return inventory.gateway, found


def refuse_unknown(stack: str, pools: Sequence[Sequence[Member]], replicas: Iterable[Replica]) -> None:
    """Raises Refused when the gateway does not know all of these replicas."""
    unknown = [replica.name for replica in replicas if find(pools, replica.name) is None]
    if unknown:
        raise Refused(
            f"stack {stack}: the gateway knows no {' and no '.join(unknown)}; `make up STACK={stack}` makes it known"
        )


def refuse_to_empty(stack: str, pools: Sequence[Sequence[Member]], leaving: Iterable[Replica]) -> None:
    """Raises Refused when a pool would have nobody left that serves."""
    pool_of = {replica.name: replica.pool for replica in leaving}
    for pool in pools:
        going = [member for member in pool if member.name in pool_of and member.serves]
        staying = [member for member in pool if member.name not in pool_of]
        if going and not any(member.serves for member in staying):
            names = " and ".join(member.name for member in going)
            others = "; ".join(map(str, staying)) or "it has no others"
            raise Refused(
                f"stack {stack}: nobody else serves pool {pool_of[going[0].name]} ({others}), so {names} stayed in the "
                "ring; --force takes the last one out all the same"
            )


def refuse_unready(stack: str, rows: Iterable[ReplicaStatus]) -> None:
    """Raises Refused when replicas that shall have requests again do not answer."""
    if unready := [row for row in rows if not row.ready]:
        reasons = "; ".join(f"{row.name}: {row.problem}" for row in unready)
        raise Refused(f"stack {stack}: {reasons}. Nothing was put in the ring; --force does it all the same")
