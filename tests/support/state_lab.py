"""A state store on a machine of the operator's own, from a spec to the running unit, without Pulumi in between."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.plan import make_plan
from infra.plan.fleet_plan import FleetPlan
from infra.plan.read_models import read_models
from infra.plan.state import StatePlan
from infra.render import render
from infra.spec import parse
from provisioning.converge import service as converging
from provisioning.converge.machine import Machine
from provisioning.converge.peers import Place
from provisioning.converge.ring import Rings
from provisioning.converge.version import Version
from provisioning.ssh import Address, Connections
from provisioning.state import ServiceState
from support.lab_stacks import StartedNode
from support.state_secrets import STATE_SECRETS

FLEET = "shop"


def state_plan(machines: Mapping[str, StartedNode], clients: str, **state: Any) -> FleetPlan:
    """The plan of a fleet whose engines are elsewhere, and whose store stands on these machines."""
    hosts = [
        {"name": name, "address": node.facts.address, "device": "cpu", "devices": 1}
        for name, node in machines.items()
    ]
    engines = {"name": "gpu-1", "address": "203.0.113.7", "device": "H100-SXM", "devices": 1}
    spec = {
        "name": FLEET,
        "workload": {"topology": "flat", "agents": 1, "workflows": 4, "context_tokens": 2048},
        "models": {"agent": {"config": "Qwen/Qwen3-8B", "weights": {"path": "/data/models/qwen3"}}},
        "pools": {"agents": {"model": "agent", "role": "agent", "nodes": ["gpu-1"]}},
        "nodes": {"source": "ssh", "hosts": [*hosts, engines]},
        "access": {"clients": [clients]},
        "state": {"kind": "redis", "maxmemory": "64MiB", **state},
    }
    parsed = parse(json.dumps(spec), "fleet.yaml")
    return make_plan(parsed, read_models(parsed, Path()))


@dataclass(frozen=True)
class StateLab:
    """One machine with the services of the plan that are its own; `rings` is shared with the machines beside it."""

    node: StartedNode
    name: str
    plan: FleetPlan
    connections: Connections
    secrets: Mapping[str, str] = field(default_factory=lambda: STATE_SECRETS)
    rings: Rings = field(default_factory=Rings)
    warned: list[str] = field(default_factory=list)

    @property
    def state(self) -> StatePlan:
        """The store's plan."""
        assert self.plan.state
        return self.plan.state

    @property
    def machine(self) -> Machine:
        """The node as the converging code sees it."""
        shell = self.connections.get(self.address)
        return Machine(self.name, shell, threading.RLock(), "test", lambda _: None)

    @property
    def address(self) -> Address:
        """How the node is reached."""
        facts = self.node.facts
        return Address(facts.address, facts.port, facts.user, facts.host_key, facts.identity_file, self.name)

    def bring(self, before: StateLab | None = None) -> None:
        """What `up` does on this machine, where `before` stands if it is given."""
        old = render(before.plan)[self.name] if before else {}
        for name, service in render(self.plan)[self.name].items():
            previous = Version(old[name], before.secrets) if before else None
            place = self._place(service) if service.peers else None
            converging.converge(self.machine, Version(service, self.secrets), previous, place=place)

    def _place(self, service: ServiceState) -> Place:
        assert service.peers
        ring = self.rings.ring(service.peers.ring)
        return Place(self.machine, service.peers, ring, self.warned.append)

    def remove(self) -> None:
        """What `destroy` does."""
        for service in reversed(render(self.plan)[self.name]):
            converging.remove(self.machine, service)

    def cli(self, words: str, user: str = "admin") -> str:
        """What the store answers one of the users whose password the machine has."""
        return self.node.sh(f"STATE_USER={user} {self.state.cli} {words}").strip()
