"""The fleet as its agents.env describes it: where the model answers, and where agents keep their state."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from langgraph_checkpoint_aws import ValkeySaver  # type: ignore[import-untyped]
from valkey import BlockingConnectionPool, Valkey

CONNECTIONS = 32
WAIT_FOR_CONNECTION_S = 20
"""The saver's own pool refuses the eleventh thread at once, and takes the refused read for an empty conversation."""

STATE_TTL_S = 24 * 3600


@dataclass(frozen=True)
class Fleet:
    """What agents must know of a fleet. `redis_url` and `valkey_url` are the same store, for two clients."""

    base_url: str
    api_key: str = field(repr=False)
    model: str
    session_header: str
    redis_url: str = field(repr=False)
    valkey_url: str = field(repr=False)
    state_ttl_s: int


def fleet_of(environment: Mapping[str, str] = os.environ) -> Fleet:
    """The fleet of the environment; ends the program with a sentence where a variable is not there."""
    redis_url = _needed(environment, "REDIS_URL")
    return Fleet(
        base_url=_needed(environment, "OPENAI_BASE_URL"),
        api_key=_needed(environment, "OPENAI_API_KEY"),
        model=_needed(environment, "AGENTFLEET_MODEL"),
        session_header=environment.get("AGENTFLEET_SESSION_HEADER", "X-Session-Id"),
        redis_url=redis_url,
        valkey_url=environment.get("VALKEY_URL", redis_url),
        state_ttl_s=int(environment.get("AGENTFLEET_STATE_TTL_S", STATE_TTL_S)),
    )


@contextmanager
def open_saver(fleet: Fleet) -> Iterator[ValkeySaver]:
    """Where LangGraph keeps its checkpoints; its connections are closed with the block."""
    pool = BlockingConnectionPool.from_url(  # type: ignore[no-untyped-call]
        fleet.valkey_url, max_connections=CONNECTIONS, timeout=WAIT_FOR_CONNECTION_S
    )
    try:
        yield ValkeySaver(Valkey(connection_pool=pool), ttl=fleet.state_ttl_s)
    finally:
        pool.disconnect()


def _needed(environment: Mapping[str, str], name: str) -> str:
    if value := environment.get(name):
        return value
    raise SystemExit(
        f"{name} is not set: load the agents.env of a stack with a state store (make env STACK=...)"
    )
