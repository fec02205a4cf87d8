"""Which ports of a node are guarded, and for whom they are open."""

from __future__ import annotations

from dataclasses import dataclass

from infra.plan.fleet_plan import FleetPlan, NodePlan


@dataclass(frozen=True)
class Guard:
    """Ports of one kind of service on a node, and the networks that may reach them, none inside another."""

    name: str
    ports: tuple[int, ...]
    clients: tuple[str, ...]


def guards_on(plan: FleetPlan, node: NodePlan) -> tuple[Guard, ...]:
    """What the node's firewall holds. Behind a gateway the engines' ports are for the gateway alone."""
    guards = []
    if replicas := plan.replicas_on(node.name):
        clients = plan.clients if plan.gateway is None else (_own_address(plan, plan.gateway.node),)
        guards.append(Guard("engines", tuple(sorted(replica.port for replica in replicas)), clients))
    if plan.gateway and plan.gateway.node == node.name:
        guards.append(Guard("gateway", (plan.gateway.port,), plan.clients))
    return tuple(guards)


def _own_address(plan: FleetPlan, name: str) -> str:
    return next(node.listen_address for node in plan.nodes if node.name == name)
