"""What `fleet cost` prints: the bill, where its prices come from, and managed APIs beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from infra.cli.bill_tables import bill_table, prices_table
from infra.cli.table import table
from infra.cost.against_api import FleetComparison, Measured, PoolComparison, PoolWork
from infra.cost.crossover import BreakEven, Comparison
from infra.cost.managed_api import ApiPrice, Interaction
from infra.plan.fleet_plan import FleetPlan
from infra.plan.text import cost_text, count_text

_Row = tuple[str, str, str]
"""A number, its value, and how it came about."""


def cost_tables(plan: FleetPlan, compared: FleetComparison | None) -> RenderableType:
    """Everything that `fleet cost` prints."""
    nodes = count_text(len(plan.nodes), "machine")
    return Group(
        Text(f"{plan.name}: {nodes}, {cost_text(plan.cost_per_hour)}", style="bold"),
        bill_table(plan.cost),
        prices_table(plan),
        *([] if compared is None else _comparison(compared)),
    )


def _comparison(compared: FleetComparison) -> Iterator[RenderableType]:
    for pool in compared.pools:
        yield _rows_table(f"{pool.work.pool} against a managed API", _pool_rows(pool))
        if pool.measured:
            yield _sensitivity(pool.work, pool.measured)
    more = len(compared.pools) > 1 or compared.beside_usd_per_hour > 0
    if more and compared.api_usd_per_hour is not None:
        yield _rows_table("The whole fleet", _fleet_rows(compared, compared.api_usd_per_hour))


def _rows_table(title: str, rows: Iterable[_Row]) -> Table:
    return table(title, ("number", "value", "why"), rows, ("value",))


def _pool_rows(pool: PoolComparison) -> Iterator[_Row]:
    work, measured = pool.work, pool.measured
    yield _price_row(work.price, work.interaction)
    yield "the API, an interaction", f"${work.usd_per_interaction:.6f}", _tokens_text(work.interaction)
    yield (
        "the pool, as planned",
        _hourly(work.usd_per_hour),
        f"{count_text(work.replicas, 'replica')}, whole hours",
    )
    if work.interactions_per_hour is not None and work.api_usd_per_hour is not None:
        load = f"for {_load(work.interactions_per_hour)} interactions an hour"
        yield "the API, the load", _hourly(work.api_usd_per_hour), load
        if measured and measured.at_load:
            yield from _at_load(measured, measured.at_load, work)
    yield from _break_even(work, measured)


def _at_load(measured: Measured, at_load: Comparison, work: PoolWork) -> Iterator[_Row]:
    winner = "the pool" if measured.prorated_wins else "the API"
    naive = f"the GPU time in use alone, which nobody sells: {winner} wins at any load"
    yield "the pool, naively", _hourly(at_load.prorated_usd_per_hour), naive
    more = at_load.replicas - work.replicas
    beyond = f", {more} more than planned" if more else ""
    winner = "the pool" if at_load.own_replicas_win else "the API"
    billed = (
        f"{count_text(at_load.replicas, 'replica')}{beyond}, {at_load.utilization:.1%} in use: {winner} wins"
    )
    yield "the pool, as billed", _hourly(at_load.billed_usd_per_hour), billed


def _break_even(work: PoolWork, measured: Measured | None) -> Iterator[_Row]:
    load = f"{_load(work.break_even_interactions_per_hour)}/h"
    if measured is None:
        yield (
            "break-even",
            load,
            "interactions; what share of the pool that is takes --replica-tokens-per-second",
        )
        return
    even, always = measured.replica.utilization, measured.always_from_interactions_per_hour
    speed = f"at {work.tokens_per_s:,.0f} tokens/s of each replica"
    if always is None:
        yield "break-even", "never", f"a full replica serves less than its price buys from the API, {speed}"
        return
    yield "break-even", load, f"interactions: {even:.1%} of what the planned replicas serve, {speed}"
    if always > work.break_even_interactions_per_hour:
        yield (
            "the pool wins from",
            f"{_load(always)}/h",
            "below it a replica that has just begun can cost more",
        )


def _sensitivity(work: PoolWork, measured: Measured) -> Table:
    rows = (
        (
            f"x {row.price_factor:g}",
            f"{row.tokens_per_interaction:,}",
            *_reached(work.replicas, row.break_even),
        )
        for row in measured.around
    )
    columns = ("API's price", "tokens", "interactions/h", "in use")
    return table(f"Around the break-even of {work.pool}", columns, rows, columns)


def _reached(replicas: int, even: BreakEven) -> tuple[str, str]:
    """The break-even of so many replicas, if they can serve that much."""
    if even.utilization >= 1:
        return "never", ""
    return _load(replicas * even.interactions_per_hour), f"{even.utilization:.1%}"


def _fleet_rows(compared: FleetComparison, api_usd_per_hour: float) -> Iterator[_Row]:
    billed, beside = compared.billed_usd_per_hour, compared.beside_usd_per_hour
    winner = "the fleet wins" if billed < api_usd_per_hour else "the APIs win"
    yield "the APIs, the load", _hourly(api_usd_per_hour), "all pools"
    yield "the fleet, as billed", _hourly(billed), f"{_hourly(beside)} of it beside the pools: {winner}"


def _price_row(price: ApiPrice, asked: Interaction) -> _Row:
    """In the form that --api takes."""
    rates = [price.input_usd_per_million_tokens, price.output_usd_per_million_tokens]
    if asked.cached_input_tokens:
        rates.append(price.cached_input_usd_per_million_tokens)
    kinds = "in/out/cached" if asked.cached_input_tokens else "in/out"
    origin = ", ".join(filter(None, (price.source, price.date)))
    name = "" if price.name == "stated" else f"{price.name}: "
    return f"the API, {kinds}", "/".join(map(_rate, rates)), f"$ per million tokens; {name}{origin}"


def _tokens_text(asked: Interaction) -> str:
    cached = f", {asked.cached_input_tokens:,} of them cached" if asked.cached_input_tokens else ""
    return f"{asked.input_tokens:,} tokens in{cached}, {asked.output_tokens:,} out"


def _rate(dollars: float) -> str:
    return f"{dollars:.2f}" if round(dollars, 2) == dollars else f"{dollars:g}"


def _hourly(dollars: float) -> str:
    return f"${dollars:,.2f}/h" if dollars >= 1 or not dollars else f"${dollars:.3f}/h"


def _load(interactions_per_hour: float) -> str:
    return f"{interactions_per_hour:,.0f}"
