"""A small real service for tests of the provider: a unit that serves HTTP, a file with a secret, a folder to bring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from provisioning.properties import service_to_properties
from provisioning.state import Artifact, Probe, Ready, RenderedFile, ServiceState, Unit
from support.lab_stacks import StartedNode
from support.pulumi_stacks import Stack

UNIT_TEXT = """\
[Unit]
Description=small web server of a test
[Service]
DynamicUser=yes
EnvironmentFile=/etc/agentfleet-test/web/key.env
StateDirectory=agentfleet-test-web
WorkingDirectory=/opt/agentfleet-test/site
ExecStart=/usr/bin/python3 -m http.server \\
    {port} {flags}
Restart=on-failure
RestartSec=1
[Install]
WantedBy=multi-user.target
"""
UNIT = "fleet-test-web.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
KEY_PATH = "/etc/agentfleet-test/web/key.env"
SITE = "/opt/agentfleet-test/site"
SECRETS = {"api_key": "hush"}


def web(
    port: int = 8000, flags: str = "", packages: tuple[str, ...] = (), bring_s: float = 0.2
) -> ServiceState:
    """The service. `bring_s` is how long its folder takes to be brought."""
    return ServiceState(
        name="web",
        packages=packages,
        files={
            UNIT_PATH: RenderedFile(UNIT_TEXT.format(port=port, flags=flags)),
            KEY_PATH: RenderedFile("KEY=${secret:api_key}\n", "0600"),
        },
        directories=("/etc/agentfleet-test/web",),
        artifacts={
            SITE: Artifact(
                "v1",
                "a site",
                f'mkdir -p "$DESTINATION"; echo working; sleep {bring_s}; echo hello >"$DESTINATION/index.html"',
                timeout_s=60,
            )
        },
        checks=(("systemd-analyze", "verify", UNIT_PATH),),
        units={UNIT: Unit()},
        ready=Ready(UNIT, (Probe(f"http://127.0.0.1:{port}/index.html"),), 20),
    )


def renamed(service: ServiceState, word: str) -> ServiceState:
    """The same service with places of its own, so that several fit on one machine."""

    def theirs(text: str) -> str:
        return text.replace("agentfleet-test", word).replace("fleet-test-web", word)

    return replace(
        service,
        files={theirs(path): replace(file, text=theirs(file.text)) for path, file in service.files.items()},
        directories=tuple(theirs(path) for path in service.directories),
        artifacts={theirs(path): artifact for path, artifact in service.artifacts.items()},
        checks=tuple(tuple(theirs(word) for word in check) for check in service.checks),
        units={theirs(name): unit for name, unit in service.units.items()},
        ready=replace(service.ready, unit=theirs(service.ready.unit)) if service.ready else None,
    )


def on_lab_node(stack: Stack, service: ServiceState, host: int = 10) -> dict[str, Any]:
    """Resources: a lab node at that address of the stack's network, a host on it and the service."""
    node = {
        "name": "n1",
        "network": stack.lab.network,
        "address": stack.lab.address(host),
        "binds": {},
        "running": True,
    }
    return {
        "n1": {"kind": "LabNode", "properties": {"stack": stack.name, **node}},
        "h1": {
            "kind": "Host",
            "node": "n1",
            "properties": {"stack": stack.name, "requirements": {}, "reachable": True},
        },
        "web": service_on(stack, "h1", service),
    }


def on_own_host(
    stack: Stack,
    service: ServiceState,
    machine: StartedNode,
    user: str = "root",
    secrets: Mapping[str, str] = SECRETS,
) -> dict[str, Any]:
    """Resources: a machine that the stack did not make, reached as `user`, and the service on it."""
    access = {
        "name": "server",
        "address": machine.facts.address,
        "port": machine.facts.port,
        "user": user,
        "host_key": machine.facts.host_key,
        "identity_file": machine.facts.identity_file,
        "ephemeral": False,
    }
    host = {"stack": stack.name, "access": access, "requirements": {}, "reachable": True}
    return {"h1": {"kind": "Host", "properties": host}, "web": service_on(stack, "h1", service, secrets)}


def service_on(
    stack: Stack, host: str, service: ServiceState, secrets: Mapping[str, str] = SECRETS
) -> dict[str, Any]:
    """The service as a resource of the test program."""
    properties = {"stack": stack.name, **service_to_properties(service)}
    return {"kind": "Service", "host": host, "secrets": dict(secrets), "properties": properties}
