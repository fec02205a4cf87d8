"""The bill of a plan: every machine of the spec whole, divided among the pools that hold its GPUs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from infra.cost.fleet import BilledNode, FleetCost, fleet_cost
from infra.plan.fleet_plan import NodePlan, ReplicaPlan


def bill(nodes: Sequence[NodePlan], replicas: Sequence[ReplicaPlan]) -> FleetCost:
    """What these nodes cost, pool by pool. One that carries nothing is on the bill too: its owner charges for it."""
    held: dict[str, Counter[str]] = {node.name: Counter() for node in nodes}
    for replica in replicas:
        held[replica.node][replica.pool] += max(1, len(replica.gpu_ids))
    return fleet_cost(
        [
            BilledNode(
                name=node.name,
                gpus=0 if node.on_cpu else node.device_count,
                usd_per_hour=node.price_per_hour,
                price_origin=node.price_source,
                gpus_by_pool=held[node.name],
            )
            for node in nodes
        ]
    )
