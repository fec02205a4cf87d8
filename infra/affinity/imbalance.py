"""What a replica must seat because hashing spreads sessions unevenly, or because a bound forbids it to.

Two things make replicas unequal: the arcs of the ring (nginx's 160 points leave the busiest of 3 to 8 servers 5 to 15 %
above the mean) and the sessions themselves, which fall on arcs by chance (14 % of the mean at 33 sessions each). Both
are in the figures here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from infra.affinity.occupancy import USUAL_QUANTILE, most_in_one, most_in_one_of_rings
from infra.affinity.ring import POINTS_PER_WEIGHT, build_ring


@dataclass(frozen=True)
class Imbalance:
    """The busiest of `replicas` that share `sessions`.

    `peak_sessions` is not exceeded with probability `quantile`. `ring_factor` is the busiest replica's share of the
    ring over an equal share, what remains of the imbalance when sessions are very many; None where the servers'
    names, and so the ring, are not known yet.
    """

    replicas: int
    sessions: int
    peak_sessions: int
    ring_factor: float | None
    quantile: float

    @property
    def factor(self) -> float:
        """How many times the mean a replica must seat."""
        return self.peak_sessions * self.replicas / self.sessions


def ring_imbalance(servers: Mapping[str, int], sessions: int, quantile: float = USUAL_QUANTILE) -> Imbalance:
    """The imbalance of one upstream whose servers are known: `address:port` as in the configuration, to weight."""
    shares = build_ring(servers).shares()
    return Imbalance(
        replicas=len(servers),
        sessions=sessions,
        peak_sessions=most_in_one(sessions, shares, quantile),
        ring_factor=max(shares) * len(servers),
        quantile=quantile,
    )


@functools.cache
def usual_imbalance(replicas: int, sessions: int, quantile: float = USUAL_QUANTILE) -> Imbalance:
    """The imbalance of an upstream whose servers have no address yet: over all rings and all sessions.

    Takes nginx's points for random ones. On 400 sets of addresses with as many sets of random session keys the 95th
    percentile was the same to a session (tests/unit/test_affinity_imbalance.py).
    """
    peak = most_in_one_of_rings(sessions, replicas, POINTS_PER_WEIGHT, quantile)
    return Imbalance(replicas, sessions, peak, None, quantile)


def bounded_imbalance(replicas: int, sessions: int, load_factor: float) -> Imbalance:
    """The imbalance under a gateway that lets no replica have more than `load_factor` times the mean.

    Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2016): a session whose replica is full
    goes to the next one on the ring. The peak is certain; the price is in `displaced_share`.
    """
    return Imbalance(replicas, sessions, bound(replicas, sessions, load_factor), None, 1.0)


def bound(replicas: int, sessions: int, load_factor: float) -> int:
    """Sessions that one replica may have at most. ValueError for a factor under 1, with which some have no place.

    Rounded before it is rounded up: 1.1 x 100 is 110 sessions, though not in floating point.
    """
    if load_factor < 1:
        raise ValueError(f"load_factor: {load_factor} leaves sessions without a place; it must be at least 1")
    return min(sessions, math.ceil(round(load_factor * sessions / replicas, 6)))
