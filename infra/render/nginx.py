"""The nginx gateway: the distribution's nginx and Lua module, as a unit of the fleet's own."""

from __future__ import annotations

import json

from infra.plan.fleet_plan import FleetPlan
from infra.plan.gateway import SERVICE, GatewayPlan
from infra.plan.guards import GATEWAY
from infra.render.certificates import TlsFiles, tls_files
from infra.render.firewall import PortGuard, firewall_unit, port_guard
from infra.render.templates import static_texts, template_text
from infra.render.words import UNITS
from infra.spec.kinds import TlsKind
from provisioning.state import OnChange, Probe, Ready, RenderedFile, ServiceState, Unit

_PACKAGES = ("curl", "libnginx-mod-http-lua", "lua-cjson", "nginx-light")
_AUTHORIZATION = {"Authorization": "Bearer ${secret:apiKey}"}


def nginx_service(plan: FleetPlan, gateway: GatewayPlan) -> ServiceState:
    """nginx before the replicas: its files, its unit, nginx's own check and when it is ready.

    Whatever a reload can take over is reloaded, so that no stream is cut; only the unit itself asks for a restart.
    """
    unit, tls = f"{gateway.unit}.service", tls_files(plan.name, gateway, OnChange.RELOAD)
    return ServiceState(
        name=SERVICE,
        packages=(*_PACKAGES, *(tls.packages if tls else ())),
        files={
            **_lua_files(gateway),
            **_data_files(gateway),
            **_program_files(plan, gateway, tls),
            f"{UNITS}/{unit}": RenderedFile(_unit_text(plan, gateway)),
        },
        directories=(gateway.folder,),
        artifacts=tls.artifacts if tls else {},
        checks=((f"{gateway.folder}/check",), ("systemd-analyze", "verify", f"{UNITS}/{unit}")),
        units={unit: Unit()},
        ready=Ready(
            unit,
            (Probe(f"{_local_url(gateway)}/v1/models", headers=_AUTHORIZATION, ca=gateway.ca),),
            gateway.ready_timeout_s,
        ),
    )


def _lua_files(gateway: GatewayPlan) -> dict[str, RenderedFile]:
    return {
        f"{gateway.folder}/lua/{name}": RenderedFile(text, on_change=OnChange.RELOAD)
        for name, text in static_texts("nginx/lua").items()
    }


def _data_files(gateway: GatewayPlan) -> dict[str, RenderedFile]:
    """What the Lua code reads: replicas, settings, and in a file of root's alone the keys."""
    clients = dict.fromkeys(("apiKey", *gateway.client_keys))
    secrets = template_text("nginx/secrets.j2", clients=clients)
    return {
        f"{gateway.folder}/pools.json": RenderedFile(_pools_text(gateway), on_change=OnChange.RELOAD),
        f"{gateway.folder}/settings.json": RenderedFile(_settings_text(gateway), on_change=OnChange.RELOAD),
        f"{gateway.folder}/secrets": RenderedFile(secrets, mode="0600", on_change=OnChange.RELOAD),
    }


def _program_files(plan: FleetPlan, gateway: GatewayPlan, tls: TlsFiles | None) -> dict[str, RenderedFile]:
    """nginx.conf and the scripts beside it, of which `guard` and `prepare` run at each reload."""
    modules = sorted(static_texts("nginx/lua"))
    values = {
        "fleet": plan.name,
        "gateway": gateway,
        "tls": tls,
        "modules": modules,
        "guard": _guard(plan, gateway),
    }
    kinds = {
        "nginx.conf": ("0644", OnChange.RELOAD),
        "guard": ("0755", OnChange.RELOAD),
        "prepare": ("0755", OnChange.RELOAD),
        "check": ("0755", OnChange.NOTHING),
        "check.conf": ("0644", OnChange.NOTHING),
        "rotate": ("0755", OnChange.NOTHING),
    }
    return {
        f"{gateway.folder}/{name}": RenderedFile(
            template_text(f"nginx/{name}.j2", **values), mode=mode, on_change=on_change
        )
        for name, (mode, on_change) in kinds.items()
    }


def _unit_text(plan: FleetPlan, gateway: GatewayPlan) -> str:
    return template_text(
        "nginx/gateway.service.j2",
        fleet=plan.name,
        gateway=gateway,
        run_folder_name=gateway.run_folder.removeprefix("/run/"),
        firewall_unit=firewall_unit(plan),
        guard=_guard(plan, gateway),
    )


def _guard(plan: FleetPlan, gateway: GatewayPlan) -> PortGuard:
    return port_guard(plan, SERVICE, GATEWAY, [gateway.port])


def _pools_text(gateway: GatewayPlan) -> str:
    pools = [
        {
            "name": pool.name,
            "role": pool.role,
            "served_name": pool.served_name,
            "replicas": [
                {
                    "name": replica.name,
                    "address": f"{replica.address}:{replica.port}",
                    "slots": replica.slots,
                    "max_num_seqs": replica.max_num_seqs,
                }
                for replica in pool.replicas
            ],
        }
        for pool in gateway.pools
    ]
    return _json_text({"front_pool": gateway.front_pool, "pools": pools})


def _settings_text(gateway: GatewayPlan) -> str:
    """The load factor is left out where there is none: Lua's null counts as true."""
    bound = {} if gateway.load_factor is None else {"load_factor": gateway.load_factor}
    return _json_text(
        {
            "session_header_variable": f"http_{gateway.session_header.lower().replace('-', '_')}",
            "session_cookie_variable": f"cookie_{gateway.session_cookie}",
            "session_idle_s": gateway.session_idle_s,
            **bound,
            "state_folder": f"/var/lib/{gateway.unit}",
        }
    )


def _json_text(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def _local_url(gateway: GatewayPlan) -> str:
    """Where the node itself asks: with files of the operator's on loopback, for curl there need not trust them."""
    scheme = "https" if gateway.ca else "http"
    host = "127.0.0.1" if gateway.tls.kind is TlsKind.FILES else gateway.listen_address
    return f"{scheme}://{host}:{gateway.port}"
