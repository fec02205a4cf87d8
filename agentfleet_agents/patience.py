"""How long agents wait for their store, whichever client library they use: a restart or a failover costs no turn."""

from __future__ import annotations

CONNECTIONS = 32
WAIT_FOR_CONNECTION_S = 20
RETRIES = 7
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2
"""About 9 s for a new connection, and for a command on one that broke each of so many times as long: a restart of the
store takes 3 s, a Sentinel's failover 6.4 s (measured)."""

REFUSED_WAITS_S: tuple[float, ...] = (0.2, 0.5, 1, *(2,) * 29)
"""For a new primary that refuses writes until a follower has found it, after a failover: a minute. On an idle computer
a follower takes two seconds, on a busy one more than ten."""

WATCHING_WAIT_S = 0.6
"""The same for a transaction that watches keys: its caller asks again, up to 100 times without a pause of its own."""

NO_PRIMARY = "the state store: no Sentinel of AGENTFLEET_STATE_SENTINELS names a primary that answers"
"""In the place of the client libraries' words, which are their own objects."""


def is_refused_for_now(error: Exception) -> bool:
    """Whether a store's error says that it wrote nothing because its followers are missing."""
    return "NOREPLICAS" in str(error)
