"""Where the fleet is, from the environment (a fleet's agents.env)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from langgraph_checkpoint_aws import ValkeySaver
from valkey import BlockingConnectionPool, Valkey

STATE_TTL_S = 7 * 24 * 3600


@dataclass(frozen=True)
class Fleet:
    """What agents must know of a fleet."""

    base_url: str
    api_key: str = field(repr=False)
    redis_url: str = field(repr=False)
    session_header: str
    model: str


def fleet_of(environment: Mapping[str, str] = os.environ) -> Fleet:
    """The fleet of the environment; raises KeyError for a variable that is not there."""
    return Fleet(
        base_url=environment["OPENAI_BASE_URL"],
        api_key=environment["OPENAI_API_KEY"],
        redis_url=environment["REDIS_URL"],
        session_header=environment.get("AGENTFLEET_SESSION_HEADER", "X-Session-Id"),
        model=environment.get("AGENTFLEET_MODEL", "agent"),
    )


@contextmanager
def open_saver(fleet: Fleet) -> Iterator[ValkeySaver]:
    """The saver."""
    pool = BlockingConnectionPool.from_url(fleet.redis_url, max_connections=32, timeout=20)
    with Valkey(connection_pool=pool) as client:
        yield ValkeySaver(client, ttl=STATE_TTL_S)
