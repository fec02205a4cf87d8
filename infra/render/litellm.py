"""LiteLLM before the gateway: its environment, its configuration, and the door in front of it."""

from __future__ import annotations

import json
from dataclasses import replace

from infra.plan.fleet_plan import FleetPlan
from infra.plan.gateway import GatewayPlan, TlsPlan
from infra.plan.guards import GATEWAY
from infra.plan.litellm import INNER_SESSION_HEADER, SERVICE, LiteLlmPlan
from infra.render.artifacts import program_artifacts
from infra.render.certificates import TlsFiles, tls_files
from infra.render.firewall import firewall_unit, port_guard
from infra.render.templates import static_texts, template_text
from infra.render.words import UNITS
from infra.spec.kinds import TlsKind
from provisioning.state import OnChange, Ready, RenderedFile, ServiceState, Unit

_INSTALLING = ("ca-certificates", "python3-venv")
READY_TIMEOUT_S = 180
"""Its workers take six seconds of processor time each until they serve, all at once."""

_LOOPBACK = "127.0.0.1"


def behind(gateway: GatewayPlan, litellm: LiteLlmPlan) -> GatewayPlan:
    """The gateway as it stands behind LiteLLM: for this node alone, which says whose session a request is."""
    return replace(
        gateway,
        listen_address=_LOOPBACK,
        port=litellm.inner_port,
        tls=TlsPlan(),
        client_keys=(),
        session_header=INNER_SESSION_HEADER,
    )


def litellm_service(plan: FleetPlan, gateway: GatewayPlan, litellm: LiteLlmPlan) -> ServiceState:
    """LiteLLM where clients meet it.

    What it serves is reloaded, worker by worker; its unit, its packages and its keys ask for a restart, during which
    clients wait.
    """
    unit, tls = f"{litellm.unit}.service", tls_files(plan.name, gateway)
    given = () if litellm.program.lock else (("ls", "--", f"{litellm.program.folder}/bin/litellm"),)
    return ServiceState(
        name=SERVICE,
        packages=("curl", *(_INSTALLING if litellm.program.lock else ()), *(tls.packages if tls else ())),
        files={
            **_program_files(plan, gateway, litellm),
            f"{UNITS}/{unit}": RenderedFile(_unit_text(plan, gateway, litellm, tls)),
        },
        directories=(litellm.folder,),
        artifacts={**program_artifacts(litellm.program), **(tls.artifacts if tls else {})},
        checks=(*given, (f"{litellm.folder}/check",), ("systemd-analyze", "verify", f"{UNITS}/{unit}")),
        units={unit: Unit()},
        ready=Ready(unit, (), READY_TIMEOUT_S, commands=((f"{litellm.folder}/ready",),)),
    )


def _program_files(plan: FleetPlan, gateway: GatewayPlan, litellm: LiteLlmPlan) -> dict[str, RenderedFile]:
    own = static_texts("litellm/program")
    values = {
        "fleet": plan.name,
        "litellm": litellm,
        "clients": dict.fromkeys(("apiKey", *gateway.client_keys)),
        "url": _local_url(gateway),
        # A certificate of the operator's need not name the address at which the node itself asks.
        "trust": f"--cacert {gateway.ca}" if gateway.ca else "--insecure",
        "one_token": json.dumps({"model": litellm.models[0].name, "prompt": "ready", "max_tokens": 1}),
    }

    def file(name: str, mode: str = "0644", on_change: OnChange = OnChange.RESTART) -> RenderedFile:
        return RenderedFile(template_text(f"litellm/{name}.j2", **values), mode, on_change=on_change)

    files = {
        "config.yaml": file("config.yaml", on_change=OnChange.RELOAD),
        "settings.json": RenderedFile(_settings_text(gateway, litellm), on_change=OnChange.RELOAD),
        "edge.py": RenderedFile(own["edge.py"], on_change=OnChange.RELOAD),
        "serve.py": RenderedFile(own["serve.py"]),
        "litellm.env": file("litellm.env"),
        "keys": file("keys", "0600"),
        "check": file("check", "0755", OnChange.NOTHING),
        "ready": file("ready", "0755", OnChange.NOTHING),
        "ready.header": file("ready.header", "0600", OnChange.NOTHING),
    }
    return {f"{litellm.folder}/{name}": made for name, made in files.items()}


def _settings_text(gateway: GatewayPlan, litellm: LiteLlmPlan) -> str:
    """What the door in front of it reads."""
    settings = {
        "session_header": gateway.session_header,
        "session_cookie": gateway.session_cookie,
        "request_limit_bytes": gateway.request_limit_bytes,
        "drain_timeout_s": gateway.drain_timeout_s,
        "health_url": f"http://{_LOOPBACK}:{litellm.inner_port}/health",
    }
    return json.dumps(settings, indent=2) + "\n"


def _unit_text(plan: FleetPlan, gateway: GatewayPlan, litellm: LiteLlmPlan, tls: TlsFiles | None) -> str:
    return template_text(
        "litellm/litellm.service.j2",
        fleet=plan.name,
        gateway=gateway,
        litellm=litellm,
        tls=tls,
        firewall_unit=firewall_unit(plan),
        guard=port_guard(plan, SERVICE, GATEWAY, [gateway.port]),
    )


def _local_url(gateway: GatewayPlan) -> str:
    scheme = "http" if gateway.tls.kind is TlsKind.NONE else "https"
    return f"{scheme}://{gateway.listen_address}:{gateway.port}"
