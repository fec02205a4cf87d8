"""Memory of a store and of its machine, from the sessions that it keeps."""

from __future__ import annotations

ALARM_ROOM = 0.8
"""Share of maxmemory that the planned sessions may fill; the rest is for other keys and for days that are busier."""

RSS_FACTOR = 1.2
"""Resident memory over `used_memory`: 1.20 at 117 MB on redis-server 7.0.15."""

FORK_SHARE = 0.5
"""Share of the store that is copied while a snapshot or a new AOF is written, because it changes meanwhile.

An assumption between nothing and the bound of Redis's own documentation, which is all of it.
"""

LEAST_MAXMEMORY_BYTES = 64 * 2**20
"""A limit below this is eaten by buffers of clients and of the AOF."""

_MIB = 2**20


def sessions_retained(sessions_per_hour: int, ttl_s: int, at_once: int) -> int:
    """Sessions that the store holds: those that began while the oldest one is kept, and never fewer than are open."""
    return max(at_once, -(-sessions_per_hour * ttl_s // 3600))


def maxmemory_bytes(retained: int, session_bytes: int) -> int:
    """The store's limit for so many sessions, in whole MiB."""
    wanted = retained * session_bytes / ALARM_ROOM
    return max(LEAST_MAXMEMORY_BYTES, -(-int(wanted) // _MIB) * _MIB)


def machine_bytes(limit_bytes: int) -> int:
    """What a store that is full takes of its machine while it writes a snapshot."""
    return round(limit_bytes * RSS_FACTOR * (1 + FORK_SHARE))
