"""What agent state takes: bytes of a session in Redis or Valkey, and the memory of the store and of its machine.

session_bytes(SessionState, Saver, Durability)   bytes of the store that one session takes at its end
sessions_retained(...)                           sessions that the store holds at once
maxmemory_bytes, machine_bytes                   the store's limit, and what its machine must have for that
"""

from __future__ import annotations

from infra.store.memory import (
    ALARM_ROOM,
    FORK_SHARE,
    LEAST_MAXMEMORY_BYTES,
    RSS_FACTOR,
    machine_bytes,
    maxmemory_bytes,
    sessions_retained,
)
from infra.store.session import SessionState, session_bytes, usual_checkpoints, usual_messages

__all__ = [
    "ALARM_ROOM",
    "FORK_SHARE",
    "LEAST_MAXMEMORY_BYTES",
    "RSS_FACTOR",
    "SessionState",
    "machine_bytes",
    "maxmemory_bytes",
    "session_bytes",
    "sessions_retained",
    "usual_checkpoints",
    "usual_messages",
]
