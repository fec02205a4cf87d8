"""How much to leave free: not a flat 10 or 15 %, but as much as the memory model may be wrong.

A rule of thumb adds the same share to a model that is known to 1 % and to one that is known to 10 %. The interval of a
memory budget says which one this is. The 95 % warning goes with it: vLLM claims its share of the memory at start and
holds it whatever the load, so the memory in use says nothing; what counts is sessions against seats.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from infra.memory import MemoryBudget


class Confidence(enum.Enum):
    """Whether a peak of sessions fits at full context, given what the memory model knows."""

    SURE = "fits even if the KV cache is as small as the interval allows"
    LIKELY = "fits by the plan, not at the low end of the interval"
    UNLIKELY = "fits at the high end of the interval alone"
    NO = "does not fit"


@dataclass(frozen=True)
class Seats:
    """Sessions of full context that one replica seats: at the low end of its interval, as planned, at the high end."""

    low: int
    planned: int
    high: int

    def confidence(self, peak_sessions: int) -> Confidence:
        """How sure it is that a replica seats this peak."""
        for seats, answer in (
            (self.low, Confidence.SURE),
            (self.planned, Confidence.LIKELY),
            (self.high, Confidence.UNLIKELY),
        ):
            if peak_sessions <= seats:
                return answer
        return Confidence.NO


def seats_within(memory: MemoryBudget) -> Seats:
    """The seats of a replica over the interval of its KV cache; all zero where no cache is left."""
    if not memory.kv_cache_bytes:
        return Seats(0, 0, 0)
    per_byte = memory.max_concurrency / memory.kv_cache_bytes
    return Seats(
        low=whole_sessions(per_byte * memory.interval.low_bytes),
        planned=whole_sessions(memory.max_concurrency),
        high=whole_sessions(per_byte * memory.interval.high_bytes),
    )


def whole_sessions(max_concurrency: float) -> int:
    """Sessions of full context: rounded down, and vLLM keeps one block for itself, so exactly 32.0 seats 31."""
    return max(0, math.ceil(max_concurrency) - 1)
