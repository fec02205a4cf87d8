"""How a pool's sessions come to its replicas, as far as sizing must know: what the busiest one gets."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

from infra.affinity.imbalance import bound, ring_imbalance, usual_imbalance

_COUNTED = 10_000
"""Sessions per replica up to which chance is counted out; of more, only the ring's own imbalance remains."""


@dataclass(frozen=True)
class Spread:
    """Dealt evenly by the clients, or `hashed` by a gateway, which may hold a replica to `load_factor` times the mean.

    Under a bound the busiest gets what hashing alone would give it, the 95th percentile, and never more than the bound:
    a session goes elsewhere only once its replica stands there.
    """

    hashed: bool = False
    load_factor: float | None = None

    @property
    def unbounded(self) -> bool:
        """Whether a replica may get any number of the sessions."""
        return self.hashed and self.load_factor is None

    def peak_sessions(self, replicas: int, sessions: int) -> int:
        """What the busiest of so many replicas gets, whatever their addresses; it falls as replicas are added."""
        if not self.hashed:
            return -(-sessions // replicas)
        parts = -(-sessions // (replicas * _COUNTED))
        usual = parts * usual_imbalance(replicas, -(-sessions // parts)).peak_sessions
        return self._bounded(replicas, sessions, usual)

    def peak_on(self, servers: Sequence[str], sessions: int) -> int:
        """What the busiest of these very replicas gets: `address:port` as the gateway knows them."""
        if not self.hashed:
            return -(-sessions // len(servers))
        on_ring = ring_imbalance(dict.fromkeys(servers, 1), sessions).peak_sessions
        return self._bounded(len(servers), sessions, on_ring)

    def replicas_for(self, sessions: int, slots: int) -> int | None:
        """The fewest replicas whose busiest stays within its slots; None where `most_replicas` are too few."""
        fewest, most = -(-sessions // slots), self.most_replicas(sessions)
        found = bisect.bisect_left(
            range(fewest, most + 1), True, key=lambda count: self.peak_sessions(count, sessions) <= slots
        )
        return fewest + found if fewest + found <= most else None

    def most_replicas(self, sessions: int) -> int:
        """More are never planned: with these an even or bounded replica has one session, and hashing stays uneven."""
        return math.ceil(sessions * (self.load_factor or 1)) if self.hashed else sessions

    def _bounded(self, replicas: int, sessions: int, peak: int) -> int:
        limit = sessions if self.load_factor is None else bound(replicas, sessions, self.load_factor)
        return min(peak, limit, sessions)


EVEN = Spread()
"""No gateway: the clients spread their sessions by themselves, and are taken to do it well."""
