"""`fleet cost`: the bill of a planned fleet by pool, and managed APIs beside it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.answers import Format, FormatOption, SpecPath, planned, print_json, print_tables

if TYPE_CHECKING:
    from infra.cost.against_api import FleetComparison
    from infra.cost.fleet import CostLine
    from infra.cost.money import RunningCost
    from infra.plan import FleetPlan

_NUMBER = "[POOL=]N"


def cost(  # noqa: PLR0913, PLR0917  a command's options are its parameters
    spec: SpecPath,
    tokens_in: Annotated[
        list[str] | None, typer.Option(metavar=_NUMBER, help="Input tokens of one interaction.")
    ] = None,
    tokens_out: Annotated[
        list[str] | None, typer.Option(metavar=_NUMBER, help="Output tokens of one interaction.")
    ] = None,
    tokens_cached: Annotated[
        list[str] | None,
        typer.Option(metavar=_NUMBER, help="Those of the input that the API has seen before; default 0."),
    ] = None,
    interactions_per_hour: Annotated[
        list[str] | None,
        typer.Option(
            metavar=_NUMBER, help="The load: of the fleet, divided by sessions, or POOL=N for each pool."
        ),
    ] = None,
    replica_tokens_per_second: Annotated[
        list[str] | None,
        typer.Option(
            metavar=_NUMBER,
            help="Tokens, input and output, that one replica serves at sustained load: the total token throughput "
            "of `vllm bench serve`. Without it no utilization is known.",
        ),
    ] = None,
    api: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[POOL=]API",
            help="A name of infra/cost/managed_api.json, or IN[/OUT[/CACHED]] in dollars per million tokens.",
        ),
    ] = None,
    format_: FormatOption = Format.TABLE,
) -> None:
    """Print what a fleet costs by hour, day and month, and from which load on it is cheaper than a managed API.

    An option given as POOL=VALUE is for that pool alone; without POOL= it is for all.
    """
    from infra.cli.cost_tables import cost_tables
    from infra.cost.command import Asked, compare_plan

    plan = planned(spec)
    options = (
        tokens_in, tokens_out, tokens_cached, interactions_per_hour, replica_tokens_per_second, api
    )  # fmt: skip
    compared = compare_plan(plan, Asked(*(tuple(option or ()) for option in options)))
    if format_ is Format.JSON:
        print_json(as_json(plan, compared))
    else:
        print_tables(cost_tables(plan, compared))


def as_json(plan: FleetPlan, compared: FleetComparison | None) -> dict[str, Any]:
    """The bill and the comparison under the names that scripts rely on; `null` is what nobody knows."""
    bill = plan.cost
    return {
        "fleet": plan.name,
        "total": _dollars(bill.total),
        "pools": [_line(line) for line in bill.pools],
        "idle": _line(bill.idle),
        "servers": _line(bill.servers),
        "prices": [
            {
                "node": node.name,
                "device": node.device,
                "devices": node.device_count,
                "usd_per_hour": node.price_per_hour,
                "source": node.price_source,
            }
            for node in plan.nodes
        ],
        "managed_api": None if compared is None else _comparison(compared),
    }


def _line(line: CostLine) -> dict[str, Any]:
    return {"name": line.name, "gpus": line.gpus, "cost": _dollars(line.cost)}


def _dollars(running: RunningCost | None) -> dict[str, float] | None:
    if running is None:
        return None
    rates = {
        "usd_per_hour": running.usd_per_hour,
        "usd_per_day": running.usd_per_day,
        "usd_per_month": running.usd_per_month,
    }
    return {name: round(rate, 4) for name, rate in rates.items()}


def _comparison(compared: FleetComparison) -> dict[str, Any]:
    return {
        "api_usd_per_hour": compared.api_usd_per_hour,
        "billed_usd_per_hour": compared.billed_usd_per_hour,
        "pools": [
            {
                **dataclasses.asdict(pool),
                "usd_per_interaction": pool.work.usd_per_interaction,
                "api_usd_per_hour": pool.work.api_usd_per_hour,
                "billed_usd_per_hour": pool.billed_usd_per_hour,
                "break_even_interactions_per_hour": pool.work.break_even_interactions_per_hour,
            }
            for pool in compared.pools
        ],
    }
