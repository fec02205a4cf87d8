"""The firewall: a table of nftables that guards our own ports alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from infra.plan.fleet_plan import FleetPlan
from infra.plan.guards import Guard
from infra.plan.process import unit_name
from infra.render.templates import template_text
from infra.render.words import UNITS
from provisioning.state import OnChange, RenderedFile, ServiceState, Unit

SERVICE = "firewall"


def firewall_unit(plan: FleetPlan) -> str:
    """The unit that loads the table."""
    return f"{unit_name(plan.name, SERVICE)}.service"


def table_name(plan: FleetPlan) -> str:
    """The table's name in nftables' family inet."""
    return f"agentfleet_{plan.name.replace('-', '_')}"


@dataclass(frozen=True)
class PortGuard:
    """What a unit runs as root before it listens, and when it has ended."""

    hold: str
    release: str


def port_guard(plan: FleetPlan, service: str, kind: str, ports: Iterable[int]) -> PortGuard:
    """The commands that keep a service's ports guarded for as long as it runs; `kind` is the name of their Guard."""
    guard = f"{_folder(plan)}/guard"
    return PortGuard(
        hold=f"{guard} hold {service} {kind} {' '.join(map(str, ports))}",
        release=f"{guard} release {service}",
    )


def firewall_service(plan: FleetPlan, guards: Sequence[Guard]) -> ServiceState:
    """The service that stands before anything listens.

    No file of it asks for a restart, which would delete the table before it is loaded again.
    """
    folder, unit, table = _folder(plan), firewall_unit(plan), table_name(plan)
    values = {
        "fleet": plan.name,
        "folder": folder,
        "rules": (rules := f"{folder}/rules.nft"),
        "run_folder": f"/run/{unit_name(plan.name, SERVICE)}",
        "table": table,
        "guards": guards,
    }

    def file(template: str, mode: str = "0644", on_change: OnChange = OnChange.RELOAD) -> RenderedFile:
        return RenderedFile(template_text(f"firewall/{template}.j2", **values), mode, on_change=on_change)

    return ServiceState(
        name=SERVICE,
        packages=("nftables",),
        files={
            rules: file("rules.nft"),
            f"{folder}/guard": file("guard", "0755", OnChange.NOTHING),
            f"{UNITS}/{unit}": file("firewall.service"),
        },
        directories=(folder,),
        checks=(("/usr/sbin/nft", "-c", "-f", rules), ("systemd-analyze", "verify", f"{UNITS}/{unit}")),
        units={unit: Unit(proof=("/usr/sbin/nft", "list", "table", "inet", table))},
    )


def _folder(plan: FleetPlan) -> str:
    return f"/etc/agentfleet/{plan.name}/{SERVICE}"
