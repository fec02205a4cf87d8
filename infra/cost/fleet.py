"""What a fleet costs by pool. Machines are billed whole, so GPUs that nobody uses have a line of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.cost.money import RunningCost


@dataclass(frozen=True)
class Machine:
    """One machine as its owner bills it: whole, and for every hour that it is rented.

    `usd_per_hour` is that of all its GPUs together, None where nobody stated one. `gpus_by_pool` counts the GPUs that
    each pool's replicas hold; on a lab node, which has none, it counts replicas.
    """

    name: str
    gpus: int
    usd_per_hour: float | None
    price_origin: str
    gpus_by_pool: Mapping[str, int]

    @property
    def billed_gpus(self) -> int:
        """What the price is divided by: the GPUs, or the replicas that share a lab node."""
        return max(self.gpus, sum(self.gpus_by_pool.values()))

    @property
    def idle_gpus(self) -> int:
        """GPUs that are paid for and that no pool uses."""
        return self.billed_gpus - sum(self.gpus_by_pool.values())


@dataclass(frozen=True)
class CostLine:
    """One pool's part of the bill, or that of idle GPUs. `cost` is None while a machine of it has no price."""

    name: str
    gpus: int
    cost: RunningCost | None


@dataclass(frozen=True)
class FleetCost:
    """The bill: its lines add up to `total`. `unpriced` names the machines whose price nobody stated.

    `price_origins` says where each price comes from, a price once.
    """

    pools: tuple[CostLine, ...]
    idle: CostLine
    total: RunningCost | None
    unpriced: tuple[str, ...]
    price_origins: tuple[str, ...]


def fleet_cost(machines: Sequence[Machine]) -> FleetCost:
    """The bill of these machines. A pool pays each machine's price times the share of its GPUs that it holds."""
    names = dict.fromkeys(pool for machine in machines for pool in machine.gpus_by_pool)
    return FleetCost(
        pools=tuple(
            _line(name, [(machine, machine.gpus_by_pool.get(name, 0)) for machine in machines])
            for name in names
        ),
        idle=_line("idle", [(machine, machine.idle_gpus) for machine in machines]),
        total=_sum([(machine, machine.billed_gpus) for machine in machines]),
        unpriced=tuple(machine.name for machine in machines if machine.usd_per_hour is None),
        price_origins=tuple(dict.fromkeys(machine.price_origin for machine in machines)),
    )


def _line(name: str, parts: Sequence[tuple[Machine, int]]) -> CostLine:
    return CostLine(name, sum(gpus for _, gpus in parts), _sum(parts))


def _sum(parts: Sequence[tuple[Machine, int]]) -> RunningCost | None:
    dollars = 0.0
    for machine, gpus in parts:
        if not gpus:
            continue
        if machine.usd_per_hour is None:
            return None
        dollars += machine.usd_per_hour * gpus / machine.billed_gpus
    return RunningCost(dollars)
