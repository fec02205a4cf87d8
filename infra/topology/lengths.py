"""A pool for the few long sessions, so that all others are sized for a short context: the reduced cap."""

from __future__ import annotations

from dataclasses import dataclass

from infra.affinity.occupancy import USUAL_QUANTILE, most_in_one


@dataclass(frozen=True)
class LengthSplit:
    """Sessions to seat in each of two pools, and the context that each is sized for.

    A session that outgrows the cap moves to the long pool once; `recomputed_tokens` are computed there a second time.
    """

    short_sessions: int
    short_tokens: int
    long_sessions: int
    long_tokens: int
    recomputed_tokens: int

    @property
    def kv_tokens(self) -> int:
        """Tokens of KV cache for both pools."""
        return self.short_sessions * self.short_tokens + self.long_sessions * self.long_tokens


def split_by_length(
    sessions: int,
    long_share: float,
    cap_tokens: int,
    long_tokens: int,
    quantile: float = USUAL_QUANTILE,
) -> LengthSplit:
    """Seats for sessions of which `long_share` outgrow `cap_tokens` and reach `long_tokens` at most.

    How many are long at one moment is chance: either pool is sized for the number that is not exceeded with
    probability `quantile`, so together they seat a few more than there are.
    """
    return LengthSplit(
        short_sessions=most_in_one(sessions, [1 - long_share], quantile),
        short_tokens=cap_tokens,
        long_sessions=most_in_one(sessions, [long_share], quantile),
        long_tokens=long_tokens,
        recomputed_tokens=cap_tokens,
    )
