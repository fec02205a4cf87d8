"""The cheapest way to run all pools at once: a device and a split for each, on nodes that pools of a device share.

The nodes are kinds with a price and a number of each: offers of sellers, or the machines that stand there already.

Branch and bound over the pools. Two bounds hold for every way to go on: the nodes that the pools settled so far need
already, and each pool's GPUs at the least price of a GPU of its device.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic

from infra.packing.nodes import NOTHING, Cost, Kind, Packing, Row, pack

MOST_STEPS = 20_000
"""Pools settled after which the best fleet so far is the answer. A few pools with dozens of offers take hundreds."""


@dataclass(frozen=True)
class Load:
    """One way to run a pool: replicas of `size` GPUs on one kind of device.

    `places` are the kinds of nodes that may carry it, by their `place`; None for all of the device.
    """

    pool: str
    device: str
    size: int
    replicas: int
    places: frozenset[str] | None = None

    @property
    def gpus(self) -> int:
        """GPUs in use."""
        return self.size * self.replicas

    @property
    def row(self) -> Row:
        """What its replicas ask of a node; those that ask alike are packed as one."""
        return Row(self.size, self.places)


@dataclass(frozen=True)
class Fleet(Generic[Kind]):
    """A load for each pool, and the nodes of each device; `proven` is False where the search ended early."""

    loads: tuple[Load, ...]
    packings: Mapping[str, Packing[Kind]]
    proven: bool

    @property
    def cost(self) -> Cost:
        """Of all nodes."""
        return sum((packing.cost for packing in self.packings.values()), NOTHING)

    def load_of(self, pool: str) -> Load:
        """How this pool runs."""
        return next(load for load in self.loads if load.pool == pool)


class Market(Generic[Kind]):
    """All kinds of nodes, by device, and what was already found out about packing replicas on them."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._kinds: dict[str, list[Kind]] = {}
        for kind in kinds:
            self._kinds.setdefault(kind.device, []).append(kind)
        self._packings: dict[tuple[str, frozenset[tuple[Row, int]]], Packing[Kind] | None] = {}

    @property
    def devices(self) -> tuple[str, ...]:
        """Every device, in the order of the kinds."""
        return tuple(self._kinds)

    def largest_node(self, device: str) -> int:
        """GPUs of the largest node with this device."""
        return max(kind.gpus for kind in self._kinds[device])

    def pack(self, device: str, loads: Iterable[Load]) -> Packing[Kind] | None:
        """The cheapest nodes for all these loads together; None where there are too few."""
        replicas: dict[Row, int] = {}
        for load in loads:
            replicas[load.row] = replicas.get(load.row, 0) + load.replicas
        key = device, frozenset(replicas.items())
        if key not in self._packings:
            self._packings[key] = pack(self._kinds[device], replicas)
        return self._packings[key]

    def least(self, load: Load) -> Bound:
        """What the GPUs of a load cost at least, whatever the nodes: bounds of several loads may be added."""
        kinds = [kind for kind in self._kinds[load.device] if load.row.may_use(kind)]
        price = min(Fraction(kind.price_micro, kind.gpus) for kind in kinds)
        nodes = min(Fraction(1, kind.gpus) for kind in kinds)
        return Bound(price * load.gpus, nodes * load.gpus, load.gpus, load.gpus)


@dataclass(frozen=True, order=True)
class Bound:
    """The numbers that are made least, in this order; `in_use` are the GPUs that replicas have."""

    price_micro: Fraction | int
    nodes: Fraction | int
    gpus: int
    in_use: int

    def __add__(self, other: Bound) -> Bound:
        """Both together."""
        return Bound(
            self.price_micro + other.price_micro,
            self.nodes + other.nodes,
            self.gpus + other.gpus,
            self.in_use + other.in_use,
        )


_NONE = Bound(0, 0, 0, 0)


def cheapest_fleet(choices: Sequence[Sequence[Load]], market: Market[Kind]) -> Fleet[Kind] | None:
    """One of each pool's loads, so that the nodes of all cost least; None where the nodes hold no such fleet.

    Least means: price, then nodes, then GPUs on them, then GPUs in use. Of fleets alike in all four, the smaller splits
    on the device that comes first.
    """
    return _Search(choices, market).solve()


class _Search(Generic[Kind]):
    """The best fleet found so far. The pools that cost most are settled first, since they decide most."""

    def __init__(self, choices: Sequence[Sequence[Load]], market: Market[Kind]) -> None:
        self._market = market
        ordered = [
            sorted(loads, key=lambda load: (market.least(load), load.size)) for loads in choices if loads
        ]
        self._choices = sorted(
            map(_worth_trying, ordered), key=lambda loads: market.least(loads[0]), reverse=True
        )
        self._possible = len(ordered) == len(choices)
        self._rest = [_NONE]
        for loads in reversed(self._choices):
            self._rest.insert(0, self._rest[0] + market.least(loads[0]))
        self._best: tuple[Bound, tuple[Load, ...], Mapping[str, Packing[Kind]]] | None = None
        self._steps = 0

    def solve(self) -> Fleet[Kind] | None:
        """The fleet of least cost."""
        if self._possible:
            self._settle((), {}, _NONE)
        if self._best is None:
            return None
        _, loads, packings = self._best
        return Fleet(loads, packings, self._steps <= MOST_STEPS and all(p.proven for p in packings.values()))

    def _settle(self, loads: tuple[Load, ...], packings: Mapping[str, Packing[Kind]], least: Bound) -> None:
        """Try every load of the next pool that may lead to less than the best fleet; `least` bounds those settled."""
        if len(loads) == len(self._choices):
            self._best = _bound(packings, loads), loads, packings
            return
        for load in self._choices[len(loads)]:
            self._steps += 1
            if self._steps > MOST_STEPS:
                return
            more, rest = (*loads, load), self._rest[len(loads) + 1]
            floor = least + self._market.least(load)
            if self._is_no_better(floor + rest):
                continue
            together = self._market.pack(load.device, (held for held in more if held.device == load.device))
            if together is None:
                continue
            packed = {**packings, load.device: together}
            if not self._is_no_better(_bound(packed, more)):
                self._settle(more, packed, floor)

    def _is_no_better(self, bound: Bound) -> bool:
        return self._best is not None and bound >= self._best[0]


def _bound(packings: Mapping[str, Packing[Kind]], loads: Iterable[Load]) -> Bound:
    """What these nodes cost, and with them any fleet of which they carry a part."""
    cost = sum((packing.cost for packing in packings.values()), NOTHING)
    return Bound(cost.price_micro, cost.nodes, cost.gpus, sum(load.gpus for load in loads))


def _worth_trying(loads: Sequence[Load]) -> list[Load]:
    """Without loads that another fits in the place of: no more GPUs of the device, in replicas that divide them."""
    return [
        load
        for index, load in enumerate(loads)
        if not any(
            other.device == load.device and load.size % other.size == 0 and other.gpus <= load.gpus
            for other in loads[:index]
        )
    ]
