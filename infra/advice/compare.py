"""Why not otherwise: what each alternative, each fixed number and each offer alone would make of the fleet's price."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from infra.advice.fleet_advice import Alternative, FixedNumber, OfferVerdict
from infra.advice.offers import MICRO, Offer
from infra.advice.question import Question, admissible
from infra.advice.ways import Wanted, Way, label
from infra.packing import Cost, Fleet, Load, Market
from infra.plan.sizing import Request
from infra.plan.text import count_text


def alternatives(question: Question, best: Fleet[Offer], pool: str) -> tuple[Alternative, ...]:
    """Every device and split for this pool: the chosen one, the others by the fleet's price, then those refused."""
    found = [_alternative(question, best, way) for way in question.ways[pool]]
    last = float("inf")
    return tuple(
        sorted(
            found,
            key=lambda item: (not item.chosen, last if item.price_per_hour is None else item.price_per_hour),
        )
    )


def fixed_numbers(question: Question, best: Fleet[Offer], pool: str) -> Iterator[FixedNumber]:
    """What each number costs that the operator fixed for this pool: the fleet with it less the fleet without."""
    for key, value, freed in _freed(question.wanted[pool]):
        free = question.cheapest({pool: admissible(question.ways_of(freed))})
        if free is None or free.cost.price_micro >= best.cost.price_micro:
            free = best
        extra, cheapest = best.cost.price_micro - free.cost.price_micro, _label(free.load_of(pool))
        reason = f"costs {dollars(extra)} per hour more than {cheapest}" if extra else "costs nothing"
        yield FixedNumber(f"pools.{pool}.{key}", value, cheapest, extra / MICRO, reason)


def offer_verdicts(question: Question, best: Fleet[Offer]) -> Iterator[OfferVerdict]:
    """Each offer: how many of its nodes are rented, and what the fleet would cost on it alone."""
    taken = [(offer, count) for packing in best.packings.values() for offer, _, count in packing.nodes]
    for offer in question.offers:
        nodes = sum(count for other, count in taken if other == offer)
        alone = question.cheapest(market=Market([offer]))
        price = None if alone is None else alone.cost.price_micro / MICRO
        yield OfferVerdict(offer, nodes, price, _verdict(question, best, offer, nodes, alone))


def dollars(micro: int) -> str:
    """`$4.02`; more digits where two show nothing."""
    amount = micro / MICRO
    return f"${amount:.2f}" if micro >= 5000 or micro == 0 else f"${amount:.6f}".rstrip("0")


def _alternative(question: Question, best: Fleet[Offer], way: Way) -> Alternative:
    load = way.load
    if way.shape is None or load is None:
        return _told(way, None, best, way.refused)
    if load == best.load_of(way.pool):
        return dataclasses.replace(_told(way, best, best, "chosen: the cheapest that fits"), chosen=True)
    forced = question.cheapest({way.pool: [way]}, question.market_with(way.device))
    if forced is None:
        return _told(way, None, best, question.out_of_stock(load))
    spot = way.device not in question.market.devices
    if spot:
        reason = _at_spot(forced.cost, best.cost)
    elif way.needless and forced.cost < best.cost:
        reason = f"{_compared(forced.cost, best.cost, '')}, but over PCIe a replica is split no further than it must "
        reason += f"be: tensor_parallel_size: {load.size} in the pool takes it"
    else:
        reason = _compared(forced.cost, best.cost, _tie(best, forced, load))
    return dataclasses.replace(_told(way, forced, best, reason), held_back=spot or way.needless)


def _told(way: Way, fleet: Fleet[Offer] | None, best: Fleet[Offer], reason: str) -> Alternative:
    price = None if fleet is None else fleet.cost.price_micro
    return Alternative(
        label=way.label,
        device=way.device,
        tensor_parallel_size=way.tensor_parallel_size,
        replicas=way.shape.replicas if way.shape else None,
        gpus=way.shape.gpus if way.shape else None,
        seats=way.shape.slots * way.shape.replicas if way.shape else None,
        price_per_hour=None if price is None else price / MICRO,
        extra_per_hour=None if price is None else (price - best.cost.price_micro) / MICRO,
        chosen=False,
        held_back=False,
        reason=reason,
    )


def _compared(cost: Cost, best: Cost, tie: str) -> str:
    """The number that decided against a fleet of this cost, or `tie` where none did."""
    more = cost.price_micro - best.price_micro
    if more:
        return f"{dollars(abs(more))} {'more' if more > 0 else 'less'} per hour"
    if cost.nodes != best.nodes:
        return f"the same price, on {count_text(cost.nodes, 'node')} instead of {best.nodes}"
    if cost.gpus != best.gpus:
        return f"the same price and nodes, with {count_text(cost.gpus, 'GPU')} instead of {best.gpus}"
    return f"the same price, nodes and GPUs{tie}"


def _tie(best: Fleet[Offer], forced: Fleet[Offer], load: Load) -> str:
    """What decides between fleets of the same cost, in the order of the search."""
    used, forced_used = (sum(other.gpus for other in fleet.loads) for fleet in (best, forced))
    if forced_used > used:
        return f", but {forced_used} GPUs in use instead of {used}"
    if load.size > best.load_of(load.pool).size:
        return ": the smaller split is taken"
    return ": the device offered first is taken"


def _at_spot(cost: Cost, best: Cost) -> str:
    """Spot nodes are not rented unless admitted, however little they cost."""
    price = "no cheaper" if cost.price_micro == best.price_micro else _compared(cost, best, "")
    return (
        f"{price}, {'and' if cost >= best else 'but'} at a spot price: nodes can be taken back at any moment"
    )


def _verdict(
    question: Question, best: Fleet[Offer], offer: Offer, nodes: int, alone: Fleet[Offer] | None
) -> str:
    if nodes and alone and alone.cost == best.cost:
        return "rented: it carries the fleet"
    if alone is None:
        reason = _why_not_alone(question, offer)
    elif offer in question.admitted:
        reason = _compared(alone.cost, best.cost, ": another offer is taken")
    else:
        reason = _at_spot(alone.cost, best.cost)
    return f"rented beside others; alone: {reason}" if nodes else reason


def _why_not_alone(question: Question, offer: Offer) -> str:
    """Why the fleet cannot stand on one offer: the first pool that it does not carry, or its stock."""
    for pool, found in question.ways.items():
        here = [way for way in found if way.device == offer.device and way.tensor_parallel_size <= offer.gpus]
        if not any(way.shape for way in here):
            why = here[-1].refused if here else _fixed_elsewhere(question.wanted[pool], offer)
            return f"does not carry {pool}: {why}"
    return f"with {count_text(offer.stock or 0, 'node')} in stock it does not hold the fleet"


def _fixed_elsewhere(wanted: Wanted, offer: Offer) -> str:
    if wanted.device not in {None, offer.device}:
        return f"it is fixed to {wanted.device}"
    return f"a replica has {wanted.request.tensor_parallel_size} GPUs"


def _freed(wanted: Wanted) -> Iterator[tuple[str, str, Wanted]]:
    """Each number that the operator fixed, its value, and the pool without it."""
    request = wanted.request
    free: dict[str, tuple[int | None, Request]] = {
        "tensor_parallel_size": (
            request.tensor_parallel_size,
            dataclasses.replace(request, tensor_parallel_size=None),
        ),
        "replicas": (request.replicas, dataclasses.replace(request, replicas=None)),
        "max_num_seqs": (request.max_num_seqs, dataclasses.replace(request, max_num_seqs=None)),
    }
    for key, (value, without) in free.items():
        if value is not None:
            yield key, str(value), Wanted(without, wanted.device)
    if wanted.device is not None:
        yield "device", wanted.device, Wanted(request)


def _label(load: Load) -> str:
    return label(load.device, load.size, load.gpus)
