"""The bill of a fleet as tables for a terminal: dollars by pool, and where the prices come from."""

from __future__ import annotations

from collections import Counter

from rich.table import Table

from infra.cli.table import table
from infra.cost.fleet import CostLine, FleetCost
from infra.plan.fleet_plan import FleetPlan


def bill_table(bill: FleetCost) -> Table:
    """A line for each pool, then what no pool uses, then the total."""
    beside = [line for line in (bill.idle, bill.servers) if line.gpus or _costs_something(line)]
    total = CostLine("total", sum(line.gpus for line in (*bill.pools, bill.idle)), bill.total)
    columns = ("pool", "GPUs", "$/hour", "$/day", "$/month")
    return table("Cost", columns, map(_bill_row, (*bill.pools, *beside, total)), columns[1:])


def prices_table(plan: FleetPlan) -> Table:
    """Machines of the same price in one row."""
    kinds = Counter(
        (
            node.device if node.on_cpu else f"{node.device_count} x {node.device}",
            "unknown" if node.price_per_hour is None else f"{node.price_per_hour:,.2f}",
            node.price_source,
        )
        for node in plan.nodes
    )
    rows = [(count, *kind) for kind, count in kinds.items()]
    columns = ("machines", "of", "$/hour each", "source of the price")
    return table("Prices of whole machines", columns, rows, ("machines", "$/hour each"))


def _costs_something(line: CostLine) -> bool:
    return line.cost is None or line.cost.usd_per_hour > 0


def _bill_row(line: CostLine) -> tuple[str, ...]:
    if line.cost is None:
        return line.name, str(line.gpus), *["unknown"] * 3
    rates = (line.cost.usd_per_hour, line.cost.usd_per_day, line.cost.usd_per_month)
    return line.name, str(line.gpus), *(f"{rate:,.2f}" for rate in rates)
