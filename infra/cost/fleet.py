"""What a fleet costs by pool. Nodes are billed whole, so GPUs that nobody uses have a line of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.cost.money import RunningCost


@dataclass(frozen=True)
class BilledNode:
    """One node as its owner bills it: whole, and for every hour that it is rented.

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
    """One pool's part of the bill, or that of idle GPUs. `cost` is None while a node of it has no price."""

    name: str
    gpus: int
    cost: RunningCost | None


@dataclass(frozen=True)
class FleetCost:
    """The bill: its lines add up to `total`. `unpriced` names the nodes whose price nobody stated.

    `price_origins` says where each price comes from, a price once.
    """

    pools: tuple[CostLine, ...]
    idle: CostLine
    total: RunningCost | None
    unpriced: tuple[str, ...]
    price_origins: tuple[str, ...]


def fleet_cost(nodes: Sequence[BilledNode]) -> FleetCost:
    """The bill of these nodes. A pool pays each node's price times the share of its GPUs that it holds."""
    names = dict.fromkeys(pool for node in nodes for pool in node.gpus_by_pool)
    return FleetCost(
        pools=tuple(
            _line(name, [(node, node.gpus_by_pool.get(name, 0)) for node in nodes]) for name in names
        ),
        idle=_line("idle", [(node, node.idle_gpus) for node in nodes]),
        total=_sum([(node, node.billed_gpus) for node in nodes]),
        unpriced=tuple(node.name for node in nodes if node.usd_per_hour is None),
        price_origins=tuple(dict.fromkeys(node.price_origin for node in nodes)),
    )


def _line(name: str, parts: Sequence[tuple[BilledNode, int]]) -> CostLine:
    return CostLine(name, sum(gpus for _, gpus in parts), _sum(parts))


def _sum(parts: Sequence[tuple[BilledNode, int]]) -> RunningCost | None:
    dollars = 0.0
    for node, gpus in parts:
        if not gpus:
            continue
        if node.usd_per_hour is None:
            return None
        dollars += node.usd_per_hour * gpus / node.billed_gpus
    return RunningCost(dollars)
