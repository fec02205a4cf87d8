"""Which machines to rent for a fleet's pools: the cheapest that fit, then the fewest nodes, then the fewest GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from infra.advice.compare import alternatives, fixed_numbers, offer_verdicts
from infra.advice.fleet_advice import Alternative, FleetAdvice, PoolAdvice, Rental
from infra.advice.offers import MICRO, Offer
from infra.advice.question import Question
from infra.advice.ways import Wanted
from infra.catalog.devices import device_named
from infra.packing import Fleet, seat
from infra.plan.sizing import Shape


def advise(wanted: Sequence[Wanted], offers: Sequence[Offer], *, spot: bool = False) -> FleetAdvice:
    """The advice for these pools. Nodes at a spot price are only compared with, unless `spot` admits them.

    Raises PlanError where nothing on offer carries a pool or the stock does not hold all of them, SizingError where
    a pool is understood on no device.
    """
    question = Question(wanted, offers, spot=spot)
    best = question.answer()
    rentals = _rentals(best)
    pools = tuple(_pool(question, best, item, rentals) for item in wanted)
    return FleetAdvice(
        price_per_hour=best.cost.price_micro / MICRO,
        nodes=best.cost.nodes,
        gpus=best.cost.gpus,
        rentals=rentals,
        pools=pools,
        offers=tuple(offer_verdicts(question, best)),
        notes=tuple(dict.fromkeys((*_pool_notes(question, best, pools), *_fleet_notes(best, rentals)))),
        proven=best.proven,
    )


def _rentals(best: Fleet[Offer]) -> tuple[Rental, ...]:
    loads = [(load.device, (load.pool, load.row, load.replicas)) for load in best.loads]
    return tuple(
        Rental(
            held.kind,
            held.nodes,
            dict(held.load),
            held.idle_gpus,
            held.kind.price_micro * held.nodes / MICRO,
        )
        for device, packing in best.packings.items()
        for held in seat(packing, [load for other, load in loads if other == device])
    )


def _pool(question: Question, best: Fleet[Offer], wanted: Wanted, rentals: Sequence[Rental]) -> PoolAdvice:
    request, load = wanted.request, best.load_of(wanted.request.pool)
    shape = _shape(question, best, request.pool)
    return PoolAdvice(
        name=request.pool,
        model=request.model.name,
        sessions=request.sessions,
        context_tokens=request.settings.max_model_len,
        device=load.device,
        tensor_parallel_size=load.size,
        replicas=load.replicas,
        nodes=sum(rental.nodes for rental in rentals if request.pool in rental.replicas),
        gpus=load.gpus,
        slots_per_replica=shape.slots,
        slots=shape.slots * load.replicas,
        max_num_seqs=shape.max_num_seqs,
        price_per_hour=sum(_share(rental, request.pool, load.size) for rental in rentals),
        alternatives=alternatives(question, best, request.pool),
        fixed=tuple(fixed_numbers(question, best, request.pool)),
    )


def _shape(question: Question, best: Fleet[Offer], pool: str) -> Shape:
    chosen = best.load_of(pool)
    return next(way.shape for way in question.ways[pool] if way.shape and way.load == chosen)


def _share(rental: Rental, pool: str, size: int) -> float:
    """A pool's part of what shared nodes cost: whole nodes are paid for, so idle GPUs are borne by those in use."""
    in_use = rental.offer.gpus - rental.idle_gpus
    return rental.price_per_hour * rental.replicas.get(pool, 0) * size / in_use


def _pool_notes(question: Question, best: Fleet[Offer], pools: Sequence[PoolAdvice]) -> Iterator[str]:
    for pool in pools:
        for text in _shape(question, best, pool.name).memory.notes:
            yield f"pools.{pool.name}: {text}"
        if other := _without_pcie(pool):
            text = f"{other.label} would not split a replica over PCIe, for ${other.extra_per_hour:.2f} more per hour"
            yield f"pools.{pool.name}: {text}"


def _without_pcie(pool: PoolAdvice) -> Alternative | None:
    """The next best, where the chosen way splits a replica over PCIe: that costs speed, which no price shows."""
    if not _splits_over_pcie(pool.device, pool.tensor_parallel_size):
        return None
    return next(
        (
            other
            for other in pool.alternatives
            if other.price_per_hour is not None
            and not other.held_back
            and not _splits_over_pcie(other.device, other.tensor_parallel_size)
        ),
        None,
    )


def _splits_over_pcie(device: str, size: int) -> bool:
    return size > 1 and device_named(device).link == "pcie"


def _fleet_notes(best: Fleet[Offer], rentals: Sequence[Rental]) -> Iterator[str]:
    for rental in rentals:
        if rental.offer.spot:
            yield f"{rental.offer}: a spot price: nodes can be taken back at any moment"
        if rental.idle_gpus:
            yield f"{rental.offer}: {rental.idle_gpus} of {rental.offer.gpus} GPUs stay idle, and are paid for"
    if not best.proven:
        yield "the search ended before it had looked at everything: a cheaper fleet may exist"
