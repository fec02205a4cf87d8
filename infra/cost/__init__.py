"""What a fleet costs, pool by pool as it is billed, and when a managed API would cost less."""

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
from infra.cost.fleet import BilledNode, CostLine, FleetCost, fleet_cost
from infra.cost.managed_api import (
    ApiPrice,
    Interaction,
    load_api_prices,
    mixed_price,
    usd_per_interaction,
)
from infra.cost.money import HOURS_PER_MONTH, RunningCost, gpu_price, price_origin

__all__ = [
    "HOURS_PER_MONTH",
    "ApiPrice",
    "BilledNode",
    "BreakEven",
    "Comparison",
    "CostLine",
    "FleetCost",
    "Interaction",
    "ReplicaRate",
    "RunningCost",
    "SensitivityRow",
    "break_even",
    "compare",
    "fleet_cost",
    "gpu_price",
    "load_api_prices",
    "mixed_price",
    "price_origin",
    "prorated_replicas_win",
    "sensitivity",
    "usd_per_interaction",
]
