"""The cheapest nodes of one kind of device that hold given replicas, and which replicas sit on which of them.

A replica of `size` GPUs stays within a node. Where every size divides the next larger one (1, 2, 4, 8: nearly always),
a node of k GPUs holds k // size of any of them and each replica takes the room of so many smaller ones, wherever it is
put: then nodes suffice exactly if, for each size, they hold all replicas of that size and larger ones counted in it.
Other sizes (2 and 3) are packed by patterns: every way to fill a node to which no replica can be added.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from infra.advice.cover import Column, Supply, cheapest_cover
from infra.advice.offers import Offer

_NODE = 1 << 40
_MICRO = _NODE << 40


@dataclass(frozen=True, order=True)
class Cost:
    """What is made least, the first number first: millionths of a dollar per hour, nodes, and GPUs on them."""

    price_micro: int
    nodes: int
    gpus: int

    def __add__(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(self.price_micro + other.price_micro, self.nodes + other.nodes, self.gpus + other.gpus)


NOTHING = Cost(0, 0, 0)


@dataclass(frozen=True)
class Packing:
    """So many nodes of each offer; `limits` says how many replicas of a size one node takes, where not as many as fit.

    `proven` is False where a cheaper packing may exist that was not looked for.
    """

    nodes: tuple[tuple[Offer, Mapping[int, int], int], ...]
    proven: bool

    @property
    def cost(self) -> Cost:
        """Of all nodes, each of them whole."""
        return Cost(
            sum(offer.price_micro * count for offer, _, count in self.nodes),
            sum(count for _, _, count in self.nodes),
            sum(offer.gpus * count for offer, _, count in self.nodes),
        )


@dataclass(frozen=True)
class Rental:
    """Like nodes with like loads: so many of one offer, each with so many replicas of each pool."""

    offer: Offer
    nodes: int
    load: tuple[tuple[str, int], ...]
    idle_gpus: int


def pack(offers: Sequence[Offer], replicas: Mapping[int, int]) -> Packing | None:
    """The nodes of least Cost that hold the replicas, counted by size; None where the offers do not hold them.

    All offers are of one kind of device.
    """
    sizes = sorted((size for size, count in replicas.items() if count), reverse=True)
    groups = _by_node_size(offers, sizes[-1])
    if not groups:
        return None
    supplies = [_supply(group) for group in groups]
    ways = [_ways(group[0].gpus, sizes) for group in groups]
    columns = [Column(index, covers) for index, group in enumerate(ways) for covers, _ in group]
    cover = cheapest_cover(supplies, columns, _need(replicas, sizes))
    if cover is None:
        return None
    limits = [limit for group in ways for _, limit in group]
    nodes = _nodes_taken(groups, columns, cover.counts, limits)
    return Packing(tuple(nodes), cover.proven)


def seat(packing: Packing, loads: Sequence[tuple[str, int, int]]) -> tuple[Rental, ...]:
    """Every replica on a node; `loads` are (pool, size, replicas). The largest replicas first: small ones fit between.

    Nodes are filled one after another, so that few are shared and the idle GPUs are together.
    """
    groups = [_Group(offer, count, limits, ()) for offer, limits, count in packing.nodes]
    for pool, size, replicas in sorted(loads, key=lambda load: -load[1]):
        groups = list(_fill(groups, pool, size, replicas))
    return tuple(
        Rental(group.offer, group.nodes, tuple((pool, held) for pool, _, held in group.held), group.free)
        for group in groups
    )


@dataclass(frozen=True)
class _Group:
    """Like nodes while they are filled: what each holds as (pool, size, replicas)."""

    offer: Offer
    nodes: int
    limits: Mapping[int, int]
    held: tuple[tuple[str, int, int], ...]

    @property
    def free(self) -> int:
        return self.offer.gpus - sum(size * replicas for _, size, replicas in self.held)

    def room(self, size: int) -> int:
        """Replicas of this size that each node still takes."""
        by_gpus = self.free // size
        if size not in self.limits:
            return by_gpus
        return min(by_gpus, self.limits[size] - sum(held for _, other, held in self.held if other == size))

    def given(self, nodes: int, pool: str, size: int, replicas: int) -> _Group:
        """So many of these nodes, each with so many more replicas."""
        held = (*self.held, (pool, size, replicas)) if replicas else self.held
        return dataclasses.replace(self, nodes=nodes, held=held)


def _fill(groups: Sequence[_Group], pool: str, size: int, replicas: int) -> Iterator[_Group]:
    """The groups after these replicas: full nodes, at most one that is not, and nodes that got none."""
    for group in groups:
        room = group.room(size)
        full = min(group.nodes, replicas // room) if room else 0
        rest = min(replicas - full * room, room) if full < group.nodes else 0
        replicas -= full * room + rest
        parts = ((full, room), (1 if rest else 0, rest), (group.nodes - full - (1 if rest else 0), 0))
        yield from (group.given(nodes, pool, size, count) for nodes, count in parts if nodes)


def _by_node_size(offers: Sequence[Offer], smallest: int) -> list[list[Offer]]:
    """Offers of nodes that hold at least one replica, the largest nodes first, of one size the cheapest first."""
    usable = sorted(
        (offer for offer in offers if offer.gpus >= smallest),
        key=lambda offer: (-offer.gpus, offer.price_micro, offer.seller),
    )
    return [list(group) for _, group in itertools.groupby(usable, key=lambda offer: offer.gpus)]


def _supply(offers: Sequence[Offer]) -> Supply:
    """Price, nodes and GPUs in one number, in this order of weight."""
    return Supply(tuple((o.price_micro * _MICRO + _NODE + o.gpus, o.stock) for o in offers))


def _ways(gpus: int, sizes: Sequence[int]) -> list[tuple[tuple[int, ...], Mapping[int, int]]]:
    """What a node of so many GPUs can hold: what it covers of the need, and the replicas of each size that it takes."""
    if _divide(sizes):
        return [(tuple(gpus // size for size in sizes), {})]
    return [((*pattern, gpus), dict(zip(sizes, pattern, strict=True))) for pattern in _patterns(gpus, sizes)]


def _need(replicas: Mapping[int, int], sizes: Sequence[int]) -> tuple[int, ...]:
    """By row of `_ways`. The GPUs in all follow from the rest, and tell the search sooner what cannot suffice."""
    if not _divide(sizes):
        return (*(replicas[size] for size in sizes), sum(size * replicas[size] for size in sizes))
    return tuple(
        sum(replicas[larger] * (larger // size) for larger in sizes if larger >= size) for size in sizes
    )


def _divide(sizes: Sequence[int]) -> bool:
    return all(larger % smaller == 0 for larger, smaller in itertools.pairwise(sizes))


def _patterns(gpus: int, sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Every load of a node, replicas of each size, the largest first, that leaves no room for one more."""
    if len(sizes) == 1:
        yield (gpus // sizes[0],)
        return
    for count in range(gpus // sizes[0], -1, -1):
        for rest in _patterns(gpus - count * sizes[0], sizes[1:]):
            yield (count, *rest)


def _nodes_taken(
    groups: Sequence[Sequence[Offer]],
    columns: Sequence[Column],
    counts: Sequence[int],
    limits: Sequence[Mapping[int, int]],
) -> Iterator[tuple[Offer, Mapping[int, int], int]]:
    """Nodes of each offer, the cheapest of a size first, as the search took them."""
    left = [[offer.stock for offer in group] for group in groups]
    for column, count, limit in zip(columns, counts, limits, strict=True):
        missing, stock = count, left[column.supply]
        for place, offer in enumerate(groups[column.supply]):
            available = stock[place]
            taken = missing if available is None else min(missing, available)
            stock[place] = None if available is None else available - taken
            missing -= taken
            if taken:
                yield offer, limit, taken
