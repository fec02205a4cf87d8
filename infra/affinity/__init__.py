"""How affinity spreads sessions over replicas: nginx's ring, the imbalance that it leaves, and a bound on it."""

from infra.affinity.bounded import Placement, displaced_share, place_bounded, session_keys
from infra.affinity.imbalance import Imbalance, bounded_imbalance, ring_imbalance, usual_imbalance
from infra.affinity.ring import Ring, build_ring
from infra.affinity.spread import EVEN, Spread

__all__ = [
    "EVEN",
    "Imbalance",
    "Placement",
    "Ring",
    "Spread",
    "bounded_imbalance",
    "build_ring",
    "displaced_share",
    "place_bounded",
    "ring_imbalance",
    "session_keys",
    "usual_imbalance",
]
