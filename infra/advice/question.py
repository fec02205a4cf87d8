"""What is asked: the pools, the market, every way each pool could run on it, and the cheapest fleet of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from infra.advice.offers import Offer
from infra.advice.ways import Wanted, Way, label, ways
from infra.catalog.devices import device_named
from infra.errors import PlanError, SizingError
from infra.packing import Fleet, Load, Market, cheapest_fleet
from infra.plan.text import count_text


class Question:
    """Pools that want machines, and offers of them. The market holds the `admitted`: no spot prices unless asked for.

    Nodes at a spot price come last, so that of equals they are not taken.
    """

    def __init__(self, wanted: Sequence[Wanted], offers: Sequence[Offer], *, spot: bool = False) -> None:
        self.wanted = {item.request.pool: item for item in wanted}
        self.offers = tuple(sorted(dict.fromkeys(offers), key=lambda offer: offer.spot))
        self.admitted = tuple(offer for offer in self.offers if spot or not offer.spot)
        self.market = Market(self.admitted)
        self.ways = {pool: self.ways_of(item) for pool, item in self.wanted.items()}

    def market_with(self, device: str) -> Market[Offer]:
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
        self, instead: Mapping[str, Iterable[Way]] | None = None, market: Market[Offer] | None = None
    ) -> Fleet[Offer] | None:
        """The fleet of least cost, with other ways `instead` for some pools, or on another market."""
        market = market or self.market
        chosen = {pool: admissible(found) for pool, found in self.ways.items()} | dict(instead or {})
        return cheapest_fleet([_loads(found, market) for found in chosen.values()], market)

    def answer(self) -> Fleet[Offer]:
        """The fleet of least cost; PlanError or SizingError that says what stands in its way."""
        for pool, found in self.ways.items():
            loads = _loads(admissible(found), self.market)
            if not loads:
                raise self._nothing_fits(pool, found)
            if cheapest_fleet([loads], self.market) is None:
                nearest = max(loads, key=lambda load: self.held(load) / load.replicas)
                raise PlanError(f"pools.{pool}: {self.out_of_stock(nearest)}: offer more nodes")
        fleet = self.cheapest()
        if fleet is None:
            together = ", ".join(self.ways)
            raise PlanError(
                f"pools: the nodes in stock hold each of {together}, but not all together: offer more nodes"
            )
        return fleet

    def held(self, load: Load) -> int:
        """Replicas like these that all nodes in stock hold; only asked where each offer of the device has a stock."""
        offers = [offer for offer in self.admitted if offer.device == load.device]
        return sum((offer.stock or 0) * (offer.gpus // load.size) for offer in offers)

    def out_of_stock(self, load: Load) -> str:
        """Why the nodes in stock do not hold a load: there are too few for it, or for it and the other pools."""
        held, what = self.held(load), label(load.device, load.size)
        if held < load.replicas:
            return f"{count_text(load.replicas, 'replica')} of {what} are needed, and the nodes in stock hold {held}"
        return f"the nodes in stock do not hold {count_text(load.replicas, 'replica')} of {what} beside the other pools"

    def _nothing_fits(self, pool: str, found: Sequence[Way]) -> PlanError | SizingError:
        """Nothing on offer carries a pool: the widest split of each device, and why it cannot be."""
        if not found:
            return self._nothing_tried(pool)
        if not any(way.understood for way in found):
            return SizingError(f"pools.{pool}", "; ".join(dict.fromkeys(way.refused for way in found)))
        widest = {way.device: way for way in found if way.refused}
        reasons = [f"{way.label}: {way.refused}" for way in widest.values()]
        if spot_only := dict.fromkeys(way.device for way in found if way.shape):
            reasons.append(f"{', '.join(spot_only)}: at a spot price only, which --spot admits")
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


def admissible(found: Iterable[Way]) -> list[Way]:
    """Ways that may be chosen: over PCIe no wider split than the model needs."""
    return [way for way in found if not way.needless]


def _loads(found: Iterable[Way], market: Market[Offer]) -> list[Load]:
    """What the search may place on this market."""
    return [
        load
        for load in (way.load for way in found)
        if load and load.device in market.devices and load.size <= market.largest_node(load.device)
    ]
