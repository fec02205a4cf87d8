"""The Fleet component: a plan and its rendered services as Pulumi resources, in the order in which they can stand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi

from infra.plan.fleet_plan import FleetPlan, NodePlan
from infra.plan.needs import machine_needs
from infra.resources.types import Host, LabNode, Service
from provisioning.properties import service_to_properties
from provisioning.state import ServiceState


class Fleet(pulumi.ComponentResource):
    """All machines and services of one plan.

    `services` maps node to service to wanted state, as `infra.render.render` returns it. `secrets` maps the names that
    the rendered services ask for to secret outputs, `passwords` the password names of the spec's hosts likewise.
    Outputs: `endpoint`, `gate` (planned and measured numbers by service) and `cost_per_hour`.
    """

    endpoint: pulumi.Output[str]
    gate: pulumi.Output[dict[str, Any]]
    cost_per_hour: pulumi.Output[float | None]

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
        reports: dict[str, pulumi.Output[dict[str, Any] | None]] = {}
        for node in plan.nodes:
            host = self._host(plan, node)
            for service, resource in self._services(host, node, services[node.name]).items():
                if services[node.name][service].gate:
                    reports[service] = resource.gate_report
        self.endpoint = pulumi.Output.from_input(plan.endpoint)
        self.gate = pulumi.Output.all(**reports)
        self.cost_per_hour = pulumi.Output.from_input(plan.cost_per_hour)
        self.register_outputs(
            {"endpoint": self.endpoint, "gate": self.gate, "cost_per_hour": self.cost_per_hour}
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
        self, host: Host, node: NodePlan, services: Mapping[str, ServiceState]
    ) -> dict[str, Service]:
        """Services in the order of the rendering: what guards a node stands before what listens on it."""
        made: dict[str, Service] = {}
        guards: list[Service] = []
        for name, state in services.items():
            properties = {
                "stack": self._stack,
                "connection": host.connection,
                **service_to_properties(state),
                "secrets": pulumi.Output.secret(
                    {secret: self._secrets[secret] for secret in sorted(state.secrets)}
                ),
                **self._password(node),
            }
            options = pulumi.ResourceOptions(parent=self, depends_on=[host, *guards])
            made[name] = Service(f"{node.name}/{name}", properties, options)
            if state.ready is None:
                guards.append(made[name])
        return made

    def _password(self, node: NodePlan) -> dict[str, pulumi.Input[str]]:
        """A change of a password is no change of the machine, but it is needed to reach it."""
        return {"password": self._passwords[node.password_config]} if node.password_config else {}


def _expanded(identity_file: str) -> str:
    return str(Path(identity_file).expanduser()) if identity_file else ""
