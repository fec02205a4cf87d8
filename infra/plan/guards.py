"""Which ports of a node are guarded, and for whom they are open."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, collapse_addresses

from infra.plan.fleet_plan import FleetPlan, NodePlan
from infra.plan.state import StatePlan

ENGINES = "engines"
GATEWAY = "gateway"
STATE = "state"
"""Names of the guards, which are those of the firewall's sets too."""


@dataclass(frozen=True)
class Guard:
    """Ports of one kind of service on a node, and the networks that may reach them, none inside another.

    `ports` are the plan's. A kind that the plan has no port for may run there until it is removed, so it has clients.
    """

    name: str
    ports: tuple[int, ...]
    clients: tuple[str, ...]


def guards_on(plan: FleetPlan, node: NodePlan) -> tuple[Guard, ...]:
    """What the node's firewall holds: every kind, or nothing where nothing is to listen.

    Behind a gateway the engines' ports are for the gateway alone.
    """
    replicas = plan.replicas_on(node.name)
    has_gateway = plan.gateway is not None and plan.gateway.node == node.name
    has_state = plan.state is not None and plan.state.stands_on(node.name)
    if not (replicas or has_gateway or has_state):
        return ()
    to_engines = plan.clients if plan.gateway is None else (_own_address(plan, plan.gateway.node),)
    return (
        Guard(ENGINES, tuple(sorted(replica.port for replica in replicas)), to_engines),
        Guard(GATEWAY, (plan.gateway.port,) if plan.gateway and has_gateway else (), plan.clients),
        Guard(STATE, _state_ports(plan.state) if plan.state and has_state else (), _to_state(plan)),
    )


def _state_ports(state: StatePlan) -> tuple[int, ...]:
    return (state.port, *((state.sentinel_port,) if state.sentinel_port else ()))


def _to_state(plan: FleetPlan) -> tuple[str, ...]:
    """The store is for the agents, for the gateway, and for its own other servers."""
    members = plan.state.members if plan.state else ()
    own = {member.listen_address for member in members if len(members) > 1}
    own |= {_own_address(plan, plan.gateway.node)} if plan.gateway else set()
    networks = map(IPv4Network, (*plan.clients, *own))
    return tuple(
        str(network[0]) if network.num_addresses == 1 else str(network)
        for network in collapse_addresses(networks)
    )


def _own_address(plan: FleetPlan, name: str) -> str:
    return next(node.listen_address for node in plan.nodes if node.name == name)
