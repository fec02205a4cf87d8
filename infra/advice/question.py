"""What is asked: the pools, the market, every way each pool could run on it, and the cheapest fleet of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from infra.advice.offers import Offer
from infra.advice.search import Fleet, Load, Market, cheapest_fleet
from infra.advice.ways import Wanted, Way, ways
from infra.catalog.devices import device_named
from infra.errors import PlanError, SizingError


class Question:
    """Pools that want machines, and offers of them. `market` holds those that may be rented: no spot prices unless
    they are admitted.
    """

    def __init__(self, wanted: Sequence[Wanted], offers: Sequence[Offer], *, spot: bool = False) -> None:
        self.wanted = {item.request.pool: item for item in wanted}
        self.offers = tuple(offers)
        self.admitted = tuple(offer for offer in offers if spot or not offer.spot)
        self.market = Market(self.admitted)
        self.ways = {pool: self.ways_of(item) for pool, item in self.wanted.items()}

    def market_with(self, device: str) -> Market:
        """The market, and the offers of this device at whatever price."""
        return Market(offer for offer in self.offers if offer in self.admitted or offer.device == device)

    def ways_of(self, wanted: Wanted) -> tuple[Way, ...]:
        """Every way this pool could run on what is offered, fitting or not."""
        largest: dict[str, int] = {}
        for offer in self.offers:
            if wanted.device in {None, offer.device}:
                largest[offer.device] = max(offer.gpus, largest.get(offer.device, 0))
        return tuple(way for device, gpus in largest.items() for way in ways(wanted, device, gpus))

    def cheapest(
        self, instead: Mapping[str, Iterable[Way]] | None = None, market: Market | None = None
    ) -> Fleet | None:
        """The fleet of least cost, with other ways `instead` for some pools, or on another market."""
        market = market or self.market
        chosen = {**self.ways, **(instead or {})}
        return cheapest_fleet([_loads(found, market) for found in chosen.values()], market)

    def answer(self) -> Fleet:
        """The fleet of least cost; PlanError or SizingError that says what stands in its way."""
        for pool, found in self.ways.items():
            if not _loads(found, self.market):
                raise self._nothing_fits(pool, found)
        fleet = self.cheapest()
        if fleet is None:
            raise PlanError(
                f"pools.{', pools.'.join(self.ways)}: each fits what is offered, but the nodes in stock do not hold "
                "all of them together: offer more nodes"
            )
        return fleet

    def _nothing_fits(self, pool: str, found: Sequence[Way]) -> PlanError | SizingError:
        """Nothing on offer carries a pool: the widest split of each device, and why it cannot be."""
        if not found:
            return self._nothing_tried(pool)
        if not any(way.understood for way in found):
            return SizingError(f"pools.{pool}", "; ".join(dict.fromkeys(way.refused for way in found)))
        widest = {way.device: way for way in found if way.refused}
        reasons = [f"{way.label}: {way.refused}" for way in widest.values()]
        if spot_only := dict.fromkeys(way.device for way in found if way.shape):
            reasons.append(f"{', '.join(spot_only)}: offered at a spot price, which is not admitted")
        return PlanError(f"pools.{pool}: nothing on offer carries it: {'; '.join(reasons)}")

    def _nothing_tried(self, pool: str) -> PlanError:
        wanted = self.wanted[pool]
        if wanted.device is not None and all(offer.device != wanted.device for offer in self.offers):
            priced = "" if device_named(wanted.device).price else ", and the catalog has no price of it"
            return PlanError(
                f"pools.{pool}: {wanted.device} is not on offer{priced}: state an offer, as 1x{wanted.device}@2.40"
            )
        size = wanted.request.tensor_parallel_size
        return PlanError(f"pools.{pool}.tensor_parallel_size: no node on offer has {size} GPUs of one kind")


def _loads(found: Iterable[Way], market: Market) -> list[Load]:
    """What the search may place on this market."""
    return [
        load
        for load in (way.load for way in found)
        if load and load.device in market.devices and load.size <= market.largest_node(load.device)
    ]
