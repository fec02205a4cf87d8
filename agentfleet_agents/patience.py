"""How long agents wait for their store, whichever client library they use: a restart or a failover costs no turn."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, repeat
from time import monotonic
from typing import Any

POOL: dict[str, Any] = {"max_connections": 32, "timeout": 20}
"""Connections of a process, and seconds that a thread waits for a free one, in the client libraries' words."""

RETRIES = 7
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2
"""About 9 s for a new connection, and for a command on one that broke each of so many times as long: a restart of the
store takes 3 s, a Sentinel's failover 6.4 s (measured)."""

FAILOVER_LIMIT_S = 120
"""For a store of three servers that has no primary, or one that refuses writes until a follower has found it: seven
seconds on an idle computer. Two Sentinels that ask for each other's vote at the same moment both fail, and ask again
after half a minute; on a busy computer that happens."""

FAILOVER_PAUSES_S = (0.2, 0.5, 1, 2)
"""Between one try and the next; the last one again and again."""

WATCHING_WAIT_S = 1.2
"""The same for a transaction that watches keys: its caller asks again, up to 100 times without a pause of its own."""

NO_PRIMARY = "the state store: no Sentinel of AGENTFLEET_STATE_SENTINELS names a primary that answers"
"""In the place of the client libraries' words, which are their own objects."""


def failover_pauses() -> Iterator[float]:
    """Seconds to wait before each further try, for as long as a failover may take."""
    deadline_s = monotonic() + FAILOVER_LIMIT_S
    for pause_s in chain(FAILOVER_PAUSES_S, repeat(FAILOVER_PAUSES_S[-1])):
        if monotonic() + pause_s > deadline_s:
            return
        yield pause_s


def is_refused_for_now(error: Exception) -> bool:
    """Whether a store's error says that it wrote nothing because its followers are missing."""
    return "NOREPLICAS" in str(error)
