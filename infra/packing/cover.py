"""The cheapest whole numbers of several things that together cover a need: a small integer program, solved exactly.

Branch and bound over the columns. The bound of what is left is the largest of its rows' own relaxations: a row alone
cannot cost less than its need times the least cost per unit. That sum is convex in the number taken of one column, so
the search begins at its least point and walks away from it in both directions until the bound says to stop.

Nodes of 1 to 16 GPUs that carry thousands of replicas take a few dozen branches; a row's own relaxation is only weak
where several odd sizes of nodes cost alike and run out of stock, which is what MOST_BRANCHES is for.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

MOST_BRANCHES = 2000
"""Branches after which the best cover so far is the answer, as one that is not proven: a tenth of a second or so."""


@dataclass(frozen=True)
class Supply:
    """Things that do alike, the cheapest first: pairs of what one costs and how many there are (None: any number)."""

    steps: tuple[tuple[int, int | None], ...]

    @property
    def most(self) -> float:
        """How many there are in all."""
        return sum(math.inf if count is None else count for _, count in self.steps)

    def cost(self, count: int) -> int:
        """What the cheapest `count` of them cost."""
        spent = 0
        for cost, available in self.steps:
            taken = count if available is None else min(count, available)
            spent, count = spent + cost * taken, count - taken
        return spent


@dataclass(frozen=True)
class Column:
    """One way to use one thing of the supply with this index: how much of each row of the need it covers.

    Columns of the same supply must stand beside each other.
    """

    supply: int
    covers: tuple[int, ...]


@dataclass(frozen=True)
class Cover:
    """How many of each column were taken. `proven` is False where the search ended before it knew the least cost."""

    counts: tuple[int, ...]
    proven: bool


def cheapest_cover(
    supplies: Sequence[Supply], columns: Sequence[Column], need: Sequence[int]
) -> Cover | None:
    """The cover of `need` that costs least; None where the supplies do not cover it at all.

    There must be a column, and every cost must be above zero.
    """
    return _Search(supplies, columns).solve(tuple(need))


class _Search:
    """The best cover found so far, and what the columns from each index on can do for each row at best.

    Of `_Outlook`s there is one more than columns: the last one, behind all columns, can do nothing.
    """

    def __init__(self, supplies: Sequence[Supply], columns: Sequence[Column]) -> None:
        self._supplies, self._columns = supplies, columns
        self._scale = math.lcm(*(units for column in columns for units in column.covers if units))
        outlooks = [(_Outlook((), 0, 0),) * len(columns[0].covers)]
        for column in reversed(columns):
            supply, rows = supplies[column.supply], zip(outlooks[-1], column.covers, strict=True)
            outlooks.append(tuple(later.joined(supply, units, self._scale) for later, units in rows))
        self._outlooks = outlooks[::-1]
        self._least: float = math.inf
        self._counts: tuple[int, ...] | None = None
        self._branches = 0

    def solve(self, need: tuple[int, ...]) -> Cover | None:
        """The counts that cost least, by column."""
        if math.isfinite(self._bound(0, need)):
            self._branch(0, 0, need, 0, ())
        if self._counts is None:
            return None
        return Cover(self._counts, proven=self._branches <= MOST_BRANCHES)

    def _branch(
        self, index: int, used: int, left: tuple[int, ...], spent: int, counts: tuple[int, ...]
    ) -> None:
        """Try every count of the column that may lead to less than the least cost; `used` of its supply are gone."""
        if all(units <= 0 for units in left):
            self._least, self._counts = spent, counts + (0,) * (len(self._columns) - index)
            return
        self._branches += 1
        if index == len(self._columns) or self._branches > MOST_BRANCHES:
            return
        column, supply = self._columns[index], self._supplies[self._columns[index].supply]
        left = tuple(look.rounded(units) for look, units in zip(self._outlooks[index], left, strict=True))
        low, high = self._range(index, supply.most - used, left)

        def rest(count: int) -> tuple[int, ...]:
            return tuple(units - count * each for units, each in zip(left, column.covers, strict=True))

        def cost(count: int) -> int:
            return spent + (supply.cost(used + count) - supply.cost(used)) * self._scale

        def bound(count: int) -> float:
            return cost(count) + self._bound(index + 1, rest(count))

        shares = index + 1 < len(self._columns) and self._columns[index + 1].supply == column.supply
        start = low + bisect_left(range(low, high), True, key=lambda count: bound(count + 1) >= bound(count))
        for away in (range(start, high + 1), range(start - 1, low - 1, -1)):
            for count in away:
                if bound(count) >= self._least:
                    break
                behind = used + count if shares else 0
                self._branch(index + 1, behind, rest(count), cost(count), (*counts, count))

    def _range(self, index: int, available: float, left: tuple[int, ...]) -> tuple[int, int]:
        """The fewest of a column that later columns can make up for, and the most that are of any use."""
        low, high = 0, 0
        for units, each, later in zip(
            left, self._columns[index].covers, self._outlooks[index + 1], strict=True
        ):
            if each and units > 0:
                high = max(high, -(-units // each))
                low = low if units <= later.reach else max(low, -int((later.reach - units) // each))
        return low, int(min(high, available))

    def _bound(self, index: int, left: tuple[int, ...]) -> float:
        """What the columns from here on must cost at least to cover what is left; infinite where they cannot."""
        rows = zip(left, self._outlooks[index], strict=True)
        return max(look.cost(units) for units, look in rows)


@dataclass(frozen=True)
class _Outlook:
    """What several columns can do for one row: units by cost, the cheapest first, and the steps they come in."""

    units: tuple[tuple[int, float], ...]
    reach: float
    step: int

    def joined(self, supply: Supply, units: int, scale: int) -> _Outlook:
        """With one more column, of which each covers so many units of the row."""
        if not units:
            return self
        more = (
            (cost * scale // units, math.inf if count is None else count * units)
            for cost, count in supply.steps
        )
        return _Outlook(
            tuple(sorted((*self.units, *more))),
            self.reach + supply.most * units,
            math.gcd(self.step, units),
        )

    def cost(self, units: int) -> float:
        """What so many units cost at least: parts of a thing are allowed here, more things than there are not."""
        if units > self.reach:
            return math.inf
        spent = 0
        for rate, available in self.units:
            if units <= available:
                return spent + rate * max(0, units)
            spent, units = spent + rate * int(available), units - int(available)
        return spent

    def rounded(self, units: int) -> int:
        """The next number of units that can be covered to the unit."""
        return -(-units // self.step) * self.step if self.step else units
