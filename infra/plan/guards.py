"""Which ports of a node are guarded, and for whom they are open."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, collapse_addresses

from infra.plan.fleet_plan import FleetPlan, NodePlan
from infra.plan.state import StatePlan


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
    if plan.state and plan.state.stands_on(node.name):
        ports = (plan.state.port, *((plan.state.sentinel_port,) if plan.state.sentinel_port else ()))
        guards.append(Guard("state", ports, _who_asks(plan, plan.state)))
    return tuple(guards)


def _who_asks(plan: FleetPlan, state: StatePlan) -> tuple[str, ...]:
    """The store is for the agents, for the gateway, and for its own other servers."""
    own = {member.listen_address for member in state.members if len(state.members) > 1}
    own |= {_own_address(plan, plan.gateway.node)} if plan.gateway else set()
    networks = map(IPv4Network, (*plan.clients, *own))
    return tuple(
        str(network[0]) if network.num_addresses == 1 else str(network)
        for network in collapse_addresses(networks)
    )


def _own_address(plan: FleetPlan, name: str) -> str:
    return next(node.listen_address for node in plan.nodes if node.name == name)
