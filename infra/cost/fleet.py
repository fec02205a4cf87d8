"""What a fleet costs by pool. Nodes are billed whole, so what no pool uses has lines of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infra.cost.money import RunningCost


@dataclass(frozen=True)
class BilledNode:
    """One node as its owner bills it: whole, and for every hour that it is rented.

    `usd_per_hour` is that of all its GPUs together, None where nobody stated one; `gpus` is 0 for a server without.
    `gpus_by_pool` counts the GPUs that each pool's replicas hold, and the replicas themselves where no GPU is.
    """

    name: str
    gpus: int
    usd_per_hour: float | None
    price_origin: str
    gpus_by_pool: Mapping[str, int]

    @property
    def billed_gpus(self) -> int:
        """What the price is divided by: the GPUs, or the replicas that share a node without any."""
        return max(self.gpus, sum(self.gpus_by_pool.values()))

    @property
    def idle_gpus(self) -> int:
        """GPUs that are paid for and that no pool uses."""
        return self.billed_gpus - sum(self.gpus_by_pool.values())


@dataclass(frozen=True)
class CostLine:
    """A pool's part of the bill, or that of idle GPUs or other servers; `cost` is None while a node has no price."""

    name: str
    gpus: int
    cost: RunningCost | None


@dataclass(frozen=True)
class FleetCost:
    """The bill: pools, idle GPUs, and servers that carry no replica and no GPU, which add up to `total`.

    `unpriced` names the nodes whose price nobody stated; `price_origins` says where each price comes from, once.
    """

    pools: tuple[CostLine, ...]
    idle: CostLine
    servers: CostLine
    total: RunningCost | None
    unpriced: tuple[str, ...]
    price_origins: tuple[str, ...]


def fleet_cost(nodes: Sequence[BilledNode]) -> FleetCost:
    """The bill of these nodes. A pool pays each node's price times the share of its GPUs that it holds."""
    names = dict.fromkeys(pool for node in nodes for pool in node.gpus_by_pool)
    servers = [node for node in nodes if not node.billed_gpus]
    return FleetCost(
        pools=tuple(
            _line(name, [(node, node.gpus_by_pool.get(name, 0)) for node in nodes]) for name in names
        ),
        idle=_line("idle", [(node, node.idle_gpus) for node in nodes]),
        servers=CostLine("servers", 0, _whole(servers)),
        total=_whole(nodes),
        unpriced=tuple(node.name for node in nodes if node.usd_per_hour is None),
        price_origins=tuple(dict.fromkeys(node.price_origin for node in nodes)),
    )


def _line(name: str, parts: Sequence[tuple[BilledNode, int]]) -> CostLine:
    """The cost of some GPUs of each node."""
    held = [(node, gpus) for node, gpus in parts if gpus]
    dollars = [
        node.usd_per_hour * gpus / node.billed_gpus for node, gpus in held if node.usd_per_hour is not None
    ]
    known = len(dollars) == len(held)
    gpus = sum(count for node, count in held if node.gpus)
    return CostLine(name, gpus, RunningCost(sum(dollars)) if known else None)


def _whole(nodes: Sequence[BilledNode]) -> RunningCost | None:
    dollars = [node.usd_per_hour for node in nodes if node.usd_per_hour is not None]
    return RunningCost(sum(dollars)) if len(dollars) == len(nodes) else None
