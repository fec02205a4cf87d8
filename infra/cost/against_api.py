"""A fleet's pools against the managed APIs that could do their work: naively, and as the fleet is billed.

A pool has its own API, since an orchestrator of 70B and its workers of 8B do not replace the same product. The planned
replicas stand for the sessions that they seat, whatever the load; a load beyond what they serve adds replicas of the
same price.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from infra.cost.crossover import (
    BreakEven,
    Comparison,
    ReplicaRate,
    SensitivityRow,
    break_even,
    compare,
    prorated_replicas_win,
    sensitivity,
)
from infra.cost.managed_api import ApiPrice, Interaction, usd_per_interaction

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class PoolWork:
    """One pool as it is planned and what it is asked.

    `usd_per_hour` is that of all its replicas. `interactions_per_hour` is None where no load was stated, and
    `tokens_per_s` (input and output of one replica at sustained load) where nobody measured it.
    """

    pool: str
    replicas: int
    usd_per_hour: float
    interaction: Interaction
    price: ApiPrice
    interactions_per_hour: float | None = None
    tokens_per_s: float | None = None

    @property
    def usd_per_interaction(self) -> float:
        """What the API charges for one interaction."""
        return usd_per_interaction(self.price, self.interaction)

    @property
    def api_usd_per_hour(self) -> float | None:
        """What the API charges for the stated load."""
        load = self.interactions_per_hour
        return None if load is None else load * self.usd_per_interaction

    @property
    def break_even_interactions_per_hour(self) -> float:
        """The load at which the API charges what the planned replicas cost; it takes no measurement."""
        return self.usd_per_hour / self.usd_per_interaction


@dataclass(frozen=True)
class Measured:
    """What the speed of a replica adds.

    `replica` and `around` are of one replica; the planned ones break even at the same utilization, and at their number
    times its load. From `always_from_interactions_per_hour` on no load is cheaper on the API, None if there is none.
    """

    prorated_wins: bool
    replica: BreakEven
    always_from_interactions_per_hour: float | None
    at_load: Comparison | None
    around: tuple[SensitivityRow, ...]


@dataclass(frozen=True)
class PoolComparison:
    """One pool both ways; `measured` is None where the speed of a replica is not known."""

    work: PoolWork
    measured: Measured | None

    @property
    def billed_usd_per_hour(self) -> float:
        """The planned replicas, and those that the load asks for beyond them."""
        at_load = self.measured.at_load if self.measured else None
        return at_load.billed_usd_per_hour if at_load else self.work.usd_per_hour


@dataclass(frozen=True)
class FleetComparison:
    """All pools, and what they share: `beside_usd_per_hour` are idle GPUs and servers without one."""

    pools: tuple[PoolComparison, ...]
    beside_usd_per_hour: float

    @property
    def billed_usd_per_hour(self) -> float:
        """The whole fleet as billed."""
        return sum(pool.billed_usd_per_hour for pool in self.pools) + self.beside_usd_per_hour

    @property
    def api_usd_per_hour(self) -> float | None:
        """The whole load on the APIs, None where one pool's is not stated."""
        parts = [pool.work.api_usd_per_hour for pool in self.pools]
        known = [part for part in parts if part is not None]
        return sum(known) if len(known) == len(parts) else None


def against_api(works: Sequence[PoolWork], beside_usd_per_hour: float) -> FleetComparison:
    """The comparison of these pools, and of the fleet that they make."""
    return FleetComparison(
        tuple(PoolComparison(work, _measured(work)) for work in works), beside_usd_per_hour
    )


def _measured(work: PoolWork) -> Measured | None:
    if work.tokens_per_s is None:
        return None
    rate = ReplicaRate(work.usd_per_hour / work.replicas, work.tokens_per_s * SECONDS_PER_HOUR)
    asked, price, load = work.interaction, work.price, work.interactions_per_hour
    even = break_even(asked, rate, price)
    always = even.always_from_interactions_per_hour
    return Measured(
        prorated_wins=prorated_replicas_win(asked, rate, price),
        replica=even,
        always_from_interactions_per_hour=None
        if always is None
        else max(always, work.break_even_interactions_per_hour),
        at_load=None if load is None else compare(load, asked, rate, price, work.replicas),
        around=sensitivity(asked, rate, price),
    )
