"""The Fleet component: a plan and its rendered services as Pulumi resources, in the order in which they can stand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi

from infra.day_two.inventory import inventory_output
from infra.plan.fleet_plan import FleetPlan, NodePlan
from infra.plan.gateway import SERVICE as GATEWAY
from infra.plan.litellm import SERVICE as LITELLM
from infra.plan.needs import machine_needs
from infra.render.firewall import SERVICE as FIREWALL
from infra.resources.types import Host, LabNode, Service
from provisioning.properties import service_to_properties
from provisioning.state import ServiceState


class Fleet(pulumi.ComponentResource):
    """All machines and services of one plan.

    `services` maps node to service to wanted state, as `infra.render.render` returns it. `secrets` maps the names that
    the rendered services ask for to secret outputs, `passwords` the password names of the spec's hosts likewise.
    Outputs: `endpoint`, `gate` (planned and measured numbers by service), `cost_per_hour`, and in `inventory` what
    stands where and how it is reached.
    """

    endpoint: pulumi.Output[str]
    gate: pulumi.Output[dict[str, Any]]
    cost_per_hour: pulumi.Output[float | None]
    inventory: pulumi.Output[dict[str, Any]]

    def __init__(  # noqa: PLR0913 - the parts of a fleet, each by its name
        self,
        name: str,
        *,
        stack: str,
        plan: FleetPlan,
        services: Mapping[str, Mapping[str, ServiceState]],
        secrets: Mapping[str, pulumi.Input[str]],
        passwords: Mapping[str, pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("fleet:index:Fleet", name, None, opts)
        self._stack = stack
        self._secrets = secrets
        self._passwords = passwords
        hosts = {node.name: self._host(plan, node) for node in plan.nodes}
        self._gateway = self._reached(hosts, plan, plan.gateway.node) if plan.gateway else None
        made = self._services(plan, hosts, services)
        reports = {place: made[place].gate_report for place, state in _all(services) if state.gate}
        self.endpoint = pulumi.Output.from_input(plan.endpoint)
        self.gate = pulumi.Output.all(**{name: report for (_, name), report in reports.items()})
        self.cost_per_hour = pulumi.Output.from_input(plan.cost_per_hour)
        ways_in = pulumi.Output.all(**{name: host.connection for name, host in hosts.items()})
        self.inventory = ways_in.apply(lambda known: inventory_output(stack, plan, known))
        self.register_outputs(
            {
                "endpoint": self.endpoint,
                "gate": self.gate,
                "cost_per_hour": self.cost_per_hour,
                "inventory": self.inventory,
            }
        )

    def _host(self, plan: FleetPlan, node: NodePlan) -> Host:
        connection: pulumi.Input[dict[str, Any]] = {
            "name": node.name,
            "address": node.address,
            "port": node.port,
            "user": node.user,
            "host_key": node.host_key,
            "identity_file": _expanded(node.identity_file),
            "ephemeral": False,
        }
        if node.lab:
            connection = LabNode(
                node.name,
                {
                    "stack": self._stack,
                    "name": node.name,
                    "network": node.lab.network,
                    "address": node.address,
                    "binds": dict(node.lab.binds),
                    "running": True,
                },
                pulumi.ResourceOptions(parent=self),
            ).connection
        properties = {
            "stack": self._stack,
            "access": connection,
            "requirements": machine_needs(plan, node),
            "reachable": True,
            **self._password(node),
        }
        return Host(node.name, properties, pulumi.ResourceOptions(parent=self))

    def _services(
        self, plan: FleetPlan, hosts: Mapping[str, Host], services: Mapping[str, Mapping[str, ServiceState]]
    ) -> dict[tuple[str, str], Service]:
        """By node and service. What guards a node stands before what listens on it; the gateway comes last, so that
        a new replica is in its ring only when it is ready, and a leaving one is out of it before it is removed.
        """
        made: dict[tuple[str, str], Service] = {}
        for place, state in sorted(_all(services), key=lambda item: _RANK.get(item[0][1], 1)):
            node, name = place
            before = [made[other] for other in made if _comes_before(other, place)]
            options = pulumi.ResourceOptions(parent=self, depends_on=[hosts[node], *before])
            properties = {
                "stack": self._stack,
                **self._reached(hosts, plan, node),
                **service_to_properties(state),
                "secrets": pulumi.Output.secret(
                    {secret: self._secrets[secret] for secret in sorted(state.secrets)}
                ),
                **({"gateway": self._gateway} if state.rotation else {}),
            }
            made[place] = Service(f"{node}/{name}", properties, options)
        return made

    def _reached(self, hosts: Mapping[str, Host], plan: FleetPlan, name: str) -> dict[str, Any]:
        """How a service's machine is reached."""
        node = next(node for node in plan.nodes if node.name == name)
        return {"connection": hosts[name].connection, **self._password(node)}

    def _password(self, node: NodePlan) -> dict[str, pulumi.Input[str]]:
        """A change of a password is no change of the machine, but it is needed to reach it."""
        return {"password": self._passwords[node.password_config]} if node.password_config else {}


_RANK = {FIREWALL: 0, GATEWAY: 2, LITELLM: 3}
"""When a service's turn comes; all others in between."""


def _all(
    services: Mapping[str, Mapping[str, ServiceState]],
) -> list[tuple[tuple[str, str], ServiceState]]:
    return [((node, name), state) for node, states in services.items() for name, state in states.items()]


def _comes_before(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether a service waits for another: for its node's firewall, and what clients meet for everything."""
    (node, name), (other_node, other_name) = one, other
    return other_name in (GATEWAY, LITELLM) or (
        name == FIREWALL and node == other_node and other_name != FIREWALL
    )


def _expanded(identity_file: str) -> str:
    return str(Path(identity_file).expanduser()) if identity_file else ""
