"""An advice as tables for a terminal: what to rent, what runs on it, why not otherwise, and what fixed numbers cost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from infra.advice.fleet_advice import Alternative, FleetAdvice, OfferVerdict, PoolAdvice, Rental
from infra.plan.text import count_text


def advice_tables(subject: str, advice: FleetAdvice, *, with_offers: bool) -> Group:
    """Everything that `fleet advise` prints about `subject`, a fleet and its sessions.

    Each offer's own verdict only where the operator stated the offers.
    """
    return Group(
        _heading(subject, advice),
        _rentals(advice.rentals),
        _pools(advice.pools),
        *map(_alternatives, advice.pools),
        *_fixed(advice.pools),
        *([_offers(advice.offers)] if with_offers else []),
        *_notes(advice.notes),
    )


def _heading(subject: str, advice: FleetAdvice) -> Text:
    machines = f"{count_text(advice.nodes, 'node')} with {count_text(advice.gpus, 'GPU')}"
    text = f"{subject} on {machines}, {_dollars(advice.price_per_hour)} per hour"
    return Text(text, style="bold")


def _rentals(rentals: Iterable[Rental]) -> Group:
    def row(rental: Rental) -> tuple[object, ...]:
        carried = ", ".join(f"{count} x {pool}" for pool, count in rental.replicas.items())
        price, source = _dollars(rental.price_per_hour), rental.offer.price_source
        return rental.nodes, rental.offer, carried, rental.idle_gpus, price, source

    columns = ("nodes", "of", "each carries", "idle GPUs", "$/hour", "source of the price")
    return _table("Rent", columns, map(row, rentals), numbers=("nodes", "idle GPUs", "$/hour"))


def _pools(pools: Iterable[PoolAdvice]) -> Group:
    rows = (
        (
            pool.name,
            pool.model,
            pool.context_tokens,
            pool.sessions,
            f"{pool.gpus} x {pool.device}",
            pool.replicas,
            pool.tensor_parallel_size,
            pool.slots_per_replica,
            pool.slots,
            _dollars(pool.price_per_hour),
        )
        for pool in pools
    )
    numbers = ("context", "sessions", "replicas", "tensor parallel", "slots each", "seats", "$/hour")
    columns = ("pool", "model", *numbers[:2], "GPUs", *numbers[2:])
    return _table("Pools", columns, rows, numbers)


def _alternatives(pool: PoolAdvice) -> Group:
    """The best split of each device: the first one listed, if any may be chosen."""

    def row(other: Alternative) -> tuple[object, ...]:
        price = "" if other.price_per_hour is None else _dollars(other.price_per_hour)
        return other.label, "" if other.seats is None else other.seats, price, other.reason

    best: dict[str, Alternative] = {}
    for other in sorted(pool.alternatives, key=lambda other: other.held_back):
        best.setdefault(other.device, other)
    shown = [other for other in pool.alternatives if best[other.device] is other]
    more = len(pool.alternatives) - len(shown)
    title = f"Alternatives for {pool.name}, with what the fleet would cost"
    title += f" ({count_text(more, 'other split')} in --format json)" if more else ""
    return _table(title, ("GPUs", "seats", "$/hour", "why"), map(row, shown), ("seats", "$/hour"))


def _fixed(pools: Iterable[PoolAdvice]) -> Iterator[Group]:
    rows = [(number.path, number.value, number.reason) for pool in pools for number in pool.fixed]
    if rows:
        yield _table("Fixed numbers", ("number", "value", "what it costs"), rows, ("value",))


def _offers(offers: Iterable[OfferVerdict]) -> Group:
    rows = (
        (verdict.offer, _dollars(verdict.offer.price_per_hour), verdict.nodes_rented, verdict.reason)
        for verdict in offers
    )
    columns = ("offer", "$/hour", "rented", "the fleet on it alone")
    return _table("Offers", columns, rows, ("$/hour", "rented"))


def _notes(notes: Iterable[str]) -> Iterator[Text]:
    for number, note in enumerate(notes):
        yield Text(f"{'' if number else chr(10)}note: {note}")


def _dollars(amount: float) -> str:
    return f"${amount:.2f}"


def _table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], numbers: Collection[str]
) -> Group:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", header_style="dim")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return Group(Text(f"\n{title}", style="bold"), table)
