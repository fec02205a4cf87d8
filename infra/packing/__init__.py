"""The cheapest whole machines for replicas: which nodes of which kind, whether they are rented or given."""

from infra.packing.nodes import Cost, NodeKind, Packing, Row, Taken, pack, seat
from infra.packing.search import Fleet, Load, Market, cheapest_fleet

__all__ = [
    "Cost",
    "Fleet",
    "Load",
    "Market",
    "NodeKind",
    "Packing",
    "Row",
    "Taken",
    "cheapest_fleet",
    "pack",
    "seat",
]
