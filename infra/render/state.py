"""The state store: the distribution's redis-server or valkey-server, as a unit of the fleet's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from infra.plan.fleet_plan import FleetPlan, NodePlan
from infra.plan.guards import STATE
from infra.plan.state import SERVICE, StateMember, StatePlan
from infra.render.certificates import PACKAGES as CERTIFICATE_PACKAGES
from infra.render.certificates import fleet_certificate
from infra.render.firewall import firewall_unit, port_guard
from infra.render.sentinel import sentinel_files, sentinel_peers, sentinel_units
from infra.render.templates import template_text
from infra.render.words import UNITS
from provisioning.state import Artifact, OnChange, Ready, RenderedFile, ServiceState, Unit

_AGENT_COMMANDS = (
    "-@all",
    "+@read",
    "+@write",
    "+@transaction",
    "+@connection",
    "+@pubsub",
    "-@dangerous",
    "-@admin",
)
"""What ValkeySaver, ValkeyStore, CrewAI's locks and kept Flows ask; no FLUSHALL, no KEYS, no CONFIG."""

_MODULE_COMMANDS = (
    *("+json.get", "+json.set", "+json.mget", "+json.del", "+json.merge", "+json.type"),
    *("+ft.create", "+ft.info", "+ft.search", "+ft.aggregate", "+ft._list"),
)
"""What RedisSaver asks beside them; a server without the modules refuses to start with these words."""

_MODULE_KEYS = ("~checkpoint*", "~write_keys*")
"""RedisSaver's further families: checkpoint_write:, checkpoint_blob:, checkpoint_latest:, write_keys_zset:."""

_MODULES = {"valkey": (), "redis": ("ReJSON", "search"), "shallow": ("ReJSON", "search")}
"""By saver, as MODULE LIST names them."""


@dataclass(frozen=True)
class _Program:
    """What a distribution calls the server and what comes with it."""

    packages: tuple[str, ...]
    server: str
    client: str
    user: str
    vendor_config: str
    check_rdb: str


_PROGRAMS = {
    kind: _Program(
        packages=(f"{kind}-server", f"{kind}-tools"),
        server=f"{kind}-server",
        client=f"{kind}-cli",
        user=kind,
        vendor_config=f"/etc/{kind}/{kind}.conf",
        check_rdb=f"/usr/bin/{kind}-check-rdb",
    )
    for kind in ("redis", "valkey")
}


def state_service(plan: FleetPlan, state: StatePlan, node: NodePlan) -> ServiceState:
    """One server of the store: its files, its certificate, its units, when it is ready, and the data that it holds.

    Its own check is a trial start beside the store that runs, because the server has no other way to test its files.
    """
    program, unit = _PROGRAMS[state.kind], f"{state.unit}.service"
    member = next(member for member in state.members if member.node == node.name)
    certificate = _certificate(plan, state, member)
    files = _files(plan, state, member, next(iter(certificate), ""))
    return ServiceState(
        name=SERVICE,
        packages=(*program.packages, "nftables", *(CERTIFICATE_PACKAGES if state.tls else ())),
        files=files,
        directories=(state.folder,),
        artifacts=certificate,
        checks=(
            (f"{state.folder}/check",),
            ("systemd-analyze", "verify", *(path for path in files if path.startswith(f"{UNITS}/"))),
        ),
        units={
            unit: Unit(),
            # The timer starts it; it is static, which systemd counts as enabled.
            f"{state.unit}-alarm.service": Unit(active=False),
            f"{state.unit}-alarm.timer": Unit(),
            **(sentinel_units(state) if state.sentinel_port else {}),
        },
        data_folders=(state.data_folder,),
        ready=Ready(unit, (), state.ready_timeout_s, ((f"{state.folder}/ready",),)),
        peers=sentinel_peers(plan.name, state, member) if state.sentinel_port else None,
    )


def _files(
    plan: FleetPlan, state: StatePlan, member: StateMember, certificate_folder: str
) -> dict[str, RenderedFile]:
    program = _PROGRAMS[state.kind]
    values = {
        "fleet": plan.name,
        "state": state,
        "server": program.server,
        "client": program.client,
        "user": program.user,
        "vendor_config": program.vendor_config,
        "check_rdb": program.check_rdb,
        "certificate_folder": certificate_folder,
        "bind": tuple(dict.fromkeys((member.listen_address, "127.0.0.1"))),
        "config": f"{state.data_folder}/server.conf" if state.sentinel_port else f"{state.folder}/store.conf",
        "agent_keys": (
            *(f"~{prefix}:*" for prefix in state.prefixes),
            *(_MODULE_KEYS if _MODULES[state.saver] else ()),
        ),
        "agent_commands": (*_AGENT_COMMANDS, *(_MODULE_COMMANDS if _MODULES[state.saver] else ())),
        "modules": _MODULES[state.saver],
        "alarm_percent": round(100 * state.alarm_share),
        "firewall_unit": firewall_unit(plan),
        "guard": port_guard(plan, SERVICE, STATE, [state.port]),
    }

    def file(template: str, **attributes: str | OnChange) -> RenderedFile:
        return RenderedFile(template_text(f"redis/{template}.j2", **values), **attributes)  # type: ignore[arg-type]

    script = {"mode": "0755", "on_change": OnChange.NOTHING}
    return {
        f"{state.folder}/store.conf": file("store.conf"),
        f"{state.folder}/users.acl": file("users.acl", mode="0600", owner=program.user, group=program.user),
        **{
            f"{state.folder}/{name}": file(name, **script)
            for name in ("cli", "check", "ready", "alarm", "backup", "restore")
        },
        **_passwords(state),
        **(
            sentinel_files(
                state,
                member,
                {**values, "guard": port_guard(plan, f"{SERVICE}-sentinel", STATE, [state.sentinel_port])},
            )
            if state.sentinel_port
            else {}
        ),
        f"{UNITS}/{state.unit}.service": file("store.service"),
        f"{UNITS}/{state.unit}-alarm.service": file("alarm.service", on_change=OnChange.NOTHING),
        f"{UNITS}/{state.unit}-alarm.timer": file("alarm.timer"),
    }


def _passwords(state: StatePlan) -> Mapping[str, RenderedFile]:
    """Those that the machine's own scripts need; agents have theirs."""
    users = {
        "admin": "stateAdminPassword",
        "backup": "stateBackupPassword",
        "exporter": "stateExporterPassword",
    }
    return {
        f"{state.folder}/passwords/{user}": RenderedFile(
            f"${{secret:{secret}}}\n", mode="0600", on_change=OnChange.NOTHING
        )
        for user, secret in users.items()
    }


def _certificate(plan: FleetPlan, state: StatePlan, member: StateMember) -> dict[str, Artifact]:
    if not state.tls:
        return {}
    addresses = (member.address, member.listen_address)
    return fleet_certificate(plan.name, state.unit, addresses, group=_PROGRAMS[state.kind].user)
