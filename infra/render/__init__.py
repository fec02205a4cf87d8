"""From a plan to what should stand on each node: files byte for byte, units, probes and the gate.

The templates hold layout alone: what they print was decided by the plan, and quoting is done here.
"""

from __future__ import annotations

from collections.abc import Iterator

from infra.plan.fleet_plan import FleetPlan, NodePlan
from infra.plan.gateway import SERVICE as GATEWAY
from infra.plan.guards import guards_on
from infra.plan.litellm import SERVICE as LITELLM
from infra.plan.state import SERVICE as STATE
from infra.render.engines import replica_service
from infra.render.firewall import SERVICE as FIREWALL
from infra.render.firewall import firewall_service
from infra.render.litellm import behind, litellm_service
from infra.render.nginx import nginx_service
from infra.render.state import state_service
from provisioning.state import ServiceState


def render(plan: FleetPlan) -> dict[str, dict[str, ServiceState]]:
    """Services by node and name, the firewall first: it stands before anything listens. An unused node has none."""
    return {node.name: dict(_services(plan, node)) for node in plan.nodes}


def _services(plan: FleetPlan, node: NodePlan) -> Iterator[tuple[str, ServiceState]]:
    if guards := guards_on(plan, node):
        yield FIREWALL, firewall_service(plan, guards)
    for replica in plan.replicas_on(node.name):
        yield replica.name, replica_service(plan, node, replica)
    if plan.state and plan.state.stands_on(node.name):
        yield STATE, state_service(plan, plan.state, node)
    if plan.gateway and plan.gateway.node == node.name:
        litellm = plan.gateway.litellm
        yield GATEWAY, nginx_service(plan, behind(plan.gateway, litellm) if litellm else plan.gateway)
        if litellm:
            yield LITELLM, litellm_service(plan, plan.gateway, litellm)
