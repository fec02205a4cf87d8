"""A time by which several steps together must be done."""

from __future__ import annotations

import time


class Deadline:
    """So many seconds from now. Each step gets its own limit or what is left, whichever is less."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def within(self, limit_s: float) -> float:
        """Seconds that a step with this limit may take; never zero, which sockets take for "do not wait"."""
        return max(0.1, min(limit_s, self._end - time.monotonic()))

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return time.monotonic() >= self._end
