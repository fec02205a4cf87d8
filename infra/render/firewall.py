"""The firewall: a table of nftables that guards our own ports alone."""

from __future__ import annotations

from collections.abc import Sequence

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


def firewall_service(plan: FleetPlan, guards: Sequence[Guard]) -> ServiceState:
    """The service that stands before anything listens."""
    folder, unit = f"/etc/agentfleet/{plan.name}/{SERVICE}", firewall_unit(plan)
    rules, table = f"{folder}/rules.nft", table_name(plan)
    text = template_text("firewall/rules.nft.j2", fleet=plan.name, table=table, guards=guards)
    return ServiceState(
        name=SERVICE,
        packages=("nftables",),
        files={
            rules: RenderedFile(text, on_change=OnChange.RELOAD),
            f"{UNITS}/{unit}": RenderedFile(
                template_text("firewall/firewall.service.j2", fleet=plan.name, table=table, rules=rules)
            ),
        },
        directories=(folder,),
        checks=(("/usr/sbin/nft", "-c", "-f", rules), ("systemd-analyze", "verify", f"{UNITS}/{unit}")),
        units={unit: Unit(proof=("/usr/sbin/nft", "list", "table", "inet", table))},
    )
