"""The cheapest nodes of one kind of device that hold given replicas, and which replicas sit on which of them.

A replica of `size` GPUs stays within a node. Where every size divides the next larger one (1, 2, 4, 8: nearly always),
a node of k GPUs holds k // size of any of them and each replica takes the room of so many smaller ones, wherever it is
put: then nodes suffice exactly if, for each size, they hold all replicas of that size and larger ones counted in it.
Other sizes (2 and 3), and replicas that only some nodes may carry, are packed by patterns: every way to fill a node to
which no replica can be added. What shares no node is packed apart.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from infra.packing.cover import Column, Supply, cheapest_cover

_NODE = 1 << 40
_MICRO = _NODE << 40


class NodeKind(Protocol):
    """Nodes that are alike: GPUs of each, millionths of a dollar per hour, how many there are (None: any number).

    `place` tells nodes apart that not every pool may use.
    """

    @property
    def device(self) -> str:
        """The GPU's name in the catalog."""

    @property
    def gpus(self) -> int:
        """Of one node."""

    @property
    def price_micro(self) -> int:
        """Of one node, used or not."""

    @property
    def stock(self) -> int | None:
        """How many nodes there are."""

    @property
    def place(self) -> str:
        """A name that pools may be tied to."""


Kind = TypeVar("Kind", bound=NodeKind)


@dataclass(frozen=True)
class Row:
    """What a replica asks of a node: GPUs, and to be of one of these places (None: any)."""

    size: int
    places: frozenset[str] | None = None

    def may_use(self, kind: NodeKind) -> bool:
        """Whether a node of this kind may carry such a replica, if nothing else is on it."""
        return self.size <= kind.gpus and (self.places is None or kind.place in self.places)


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
class Packing(Generic[Kind]):
    """So many nodes of each kind; `limits` says how many replicas of a row one node takes, where not as many as fit.

    `proven` is False where a cheaper packing may exist that was not looked for.
    """

    nodes: tuple[tuple[Kind, Mapping[Row, int], int], ...]
    proven: bool

    @property
    def cost(self) -> Cost:
        """Of all nodes, each of them whole."""
        return Cost(
            sum(kind.price_micro * count for kind, _, count in self.nodes),
            sum(count for _, _, count in self.nodes),
            sum(kind.gpus * count for kind, _, count in self.nodes),
        )


@dataclass(frozen=True)
class Taken(Generic[Kind]):
    """Like nodes with like loads: so many of one kind, each with so many replicas of each pool."""

    kind: Kind
    nodes: int
    load: tuple[tuple[str, int], ...]
    idle_gpus: int


def pack(kinds: Sequence[Kind], replicas: Mapping[Row, int]) -> Packing[Kind] | None:
    """The nodes of least Cost that hold the replicas, counted by row; None where there are too few of them.

    All kinds are of one device.
    """
    nodes: list[tuple[Kind, Mapping[Row, int], int]] = []
    proven = True
    for rows, usable in _apart(kinds, [row for row, count in replicas.items() if count]):
        packed = _pack(usable, {row: replicas[row] for row in rows})
        if packed is None:
            return None
        nodes += packed.nodes
        proven = proven and packed.proven
    return Packing(tuple(nodes), proven)


def seat(packing: Packing[Kind], loads: Sequence[tuple[str, Row, int]]) -> tuple[Taken[Kind], ...]:
    """Every replica on a node; `loads` are (pool, row, replicas). The largest replicas first: small ones fit between.

    Nodes are filled one after another, so that few are shared and the idle GPUs are together.
    """
    groups = [_Group(kind, count, limits, ()) for kind, limits, count in packing.nodes]
    for pool, row, replicas in sorted(loads, key=lambda load: -load[1].size):
        groups = list(_fill(groups, pool, row, replicas))
    return tuple(
        Taken(group.kind, group.nodes, tuple((pool, held) for pool, _, held in group.held), group.free)
        for group in groups
    )


@dataclass(frozen=True)
class _Group(Generic[Kind]):
    """Like nodes while they are filled: what each holds as (pool, row, replicas)."""

    kind: Kind
    nodes: int
    limits: Mapping[Row, int]
    held: tuple[tuple[str, Row, int], ...]

    @property
    def free(self) -> int:
        return self.kind.gpus - sum(row.size * replicas for _, row, replicas in self.held)

    def room(self, row: Row) -> int:
        """Replicas of this row that each node still takes."""
        by_gpus = self.free // row.size if row.may_use(self.kind) else 0
        if row not in self.limits:
            return by_gpus
        return min(by_gpus, self.limits[row] - sum(held for _, other, held in self.held if other == row))

    def given(self, nodes: int, pool: str, row: Row, replicas: int) -> _Group[Kind]:
        """So many of these nodes, each with so many more replicas."""
        held = (*self.held, (pool, row, replicas)) if replicas else self.held
        return dataclasses.replace(self, nodes=nodes, held=held)


def _fill(groups: Sequence[_Group[Kind]], pool: str, row: Row, replicas: int) -> Iterator[_Group[Kind]]:
    """The groups after these replicas: full nodes, at most one that is not, and nodes that got none."""
    for group in groups:
        room = group.room(row)
        full = min(group.nodes, replicas // room) if room else 0
        rest = min(replicas - full * room, room) if full < group.nodes else 0
        replicas -= full * room + rest
        parts = ((full, room), (1 if rest else 0, rest), (group.nodes - full - (1 if rest else 0), 0))
        yield from (group.given(nodes, pool, row, count) for nodes, count in parts if nodes)


def _apart(kinds: Sequence[Kind], rows: Iterable[Row]) -> list[tuple[list[Row], list[Kind]]]:
    """Rows that share no node with others, and the kinds of nodes that carry them."""
    parts: list[tuple[list[Row], list[Kind]]] = []
    for row in rows:
        usable = [kind for kind in kinds if row.may_use(kind)]
        sharing = [part for part in parts if any(kind in part[1] for kind in usable)]
        together = [row, *(other for part in sharing for other in part[0])]
        reached = [kind for kind in kinds if any(other.may_use(kind) for other in together)]
        parts = [part for part in parts if part not in sharing] + [(together, reached)]
    return parts


def _pack(kinds: Sequence[Kind], replicas: Mapping[Row, int]) -> Packing[Kind] | None:
    """Of rows that share nodes."""
    if not kinds:
        return None
    rows = sorted(replicas, key=lambda row: (-row.size, sorted(row.places or ())))
    alike = len({row.places for row in rows}) == 1 and _divide([row.size for row in rows])
    groups = _by_node_size(kinds)
    ways = [_ways(group[0], rows, alike=alike) for group in groups]
    columns = [Column(index, covers) for index, group in enumerate(ways) for covers, _ in group]
    need = _need(replicas, rows, alike=alike)
    cover = cheapest_cover([_supply(group) for group in groups], columns, need)
    if cover is None:
        return None
    limits = [limit for group in ways for _, limit in group]
    nodes = _nodes_taken(groups, columns, cover.counts, limits)
    return Packing(tuple(nodes), cover.proven)


def _by_node_size(kinds: Sequence[Kind]) -> list[list[Kind]]:
    """Kinds that hold the same, the largest nodes first, of one size the cheapest first."""
    ordered = sorted(kinds, key=lambda kind: (-kind.gpus, kind.place, kind.price_micro))
    return [list(group) for _, group in itertools.groupby(ordered, key=lambda kind: (kind.gpus, kind.place))]


def _supply(kinds: Sequence[Kind]) -> Supply:
    """Price, nodes and GPUs in one number, in this order of weight."""
    return Supply(tuple((kind.price_micro * _MICRO + _NODE + kind.gpus, kind.stock) for kind in kinds))


def _ways(
    kind: NodeKind, rows: Sequence[Row], *, alike: bool
) -> list[tuple[tuple[int, ...], Mapping[Row, int]]]:
    """What such a node can hold: what it covers of the need, and the replicas of each row that it takes."""
    if alike:
        return [(tuple(kind.gpus // row.size for row in rows), {})]
    here = [row.size if row.may_use(kind) else 0 for row in rows]
    return [
        ((*pattern, kind.gpus), dict(zip(rows, pattern, strict=True)))
        for pattern in _patterns(kind.gpus, here)
    ]


def _need(replicas: Mapping[Row, int], rows: Sequence[Row], *, alike: bool) -> tuple[int, ...]:
    """By row of `_ways`. The GPUs in all follow from the rest, and tell the search sooner what cannot suffice."""
    if not alike:
        return (*(replicas[row] for row in rows), sum(row.size * replicas[row] for row in rows))
    return tuple(
        sum(replicas[other] * (other.size // row.size) for other in rows if other.size >= row.size)
        for row in rows
    )


def _divide(sizes: Sequence[int]) -> bool:
    return all(larger % smaller == 0 for larger, smaller in itertools.pairwise(sizes))


def _patterns(gpus: int, sizes: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Every load of a node, replicas of each size (0: none of these), that leaves no room for one more."""
    usable = [size for size in sizes if size]

    def fill(free: int, left: Sequence[int]) -> Iterator[tuple[int, ...]]:
        if not left:
            if not usable or free < min(usable):
                yield ()
            return
        for count in range(free // left[0] if left[0] else 0, -1, -1):
            yield from ((count, *rest) for rest in fill(free - count * left[0], left[1:]))

    return fill(gpus, sizes)


def _nodes_taken(
    groups: Sequence[Sequence[Kind]],
    columns: Sequence[Column],
    counts: Sequence[int],
    limits: Sequence[Mapping[Row, int]],
) -> Iterator[tuple[Kind, Mapping[Row, int], int]]:
    """Nodes of each kind, the cheapest of a group first, as the search took them."""
    left = [[kind.stock for kind in group] for group in groups]
    for column, count, limit in zip(columns, counts, limits, strict=True):
        missing, stock = count, left[column.supply]
        for place, kind in enumerate(groups[column.supply]):
            available = stock[place]
            taken = missing if available is None else min(missing, available)
            stock[place] = None if available is None else available - taken
            missing -= taken
            if taken:
                yield kind, limit, taken
