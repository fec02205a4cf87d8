"""CrewAI's flow states in the fleet's store, so that any host can go on with a flow.

    keep_flows(fleet_settings())      # once, before the first Flow is made
    MyFlow().kickoff(inputs={"id": flow_id})

CrewAI keeps its memory, kickoff outputs and crew checkpoints as files below CREWAI_STORAGE_DIR, which hosts do not
share. REDIS_URL it reads itself, for its locks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from crewai.flow.persistence import FlowPersistence
from crewai.flow.persistence.factory import set_flow_persistence_factory
from pydantic import BaseModel
from redis import BlockingConnectionPool, Redis
from redis.backoff import ExponentialBackoff
from redis.connection import parse_url
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import ReadOnlyError, RedisError, ResponseError
from redis.exceptions import TimeoutError as TimedOut
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel

from agentfleet_agents import patience
from agentfleet_agents.errors import StateUnavailable
from agentfleet_agents.settings import FleetSettings, fleet_settings, sentinel_options

PREFIX = "flow:"


class StoredFlows(FlowPersistence):
    """One key for each flow, kept as long as sessions are. An error of the store ends the flow: StateUnavailable."""

    settings: FleetSettings

    def init_db(self) -> None:
        """Nothing: a key needs no preparation."""

    def save_state(self, flow_uuid: str, method_name: str, state_data: dict[str, Any] | BaseModel) -> None:  # noqa: ARG002
        """The state after a method, in the place of the one before."""
        state = state_data.model_dump(mode="json") if isinstance(state_data, BaseModel) else state_data
        set_key = _client(self.settings).set
        _patiently(partial(set_key, PREFIX + flow_uuid, json.dumps(state), ex=self.settings.state_ttl_s))

    def load_state(self, flow_uuid: str) -> dict[str, Any] | None:
        """The last state that was saved, None when there is none."""
        found = _patiently(partial(_client(self.settings).get, PREFIX + flow_uuid))
        return None if found is None else dict(json.loads(found))


def keep_flows(settings: FleetSettings | None = None) -> None:
    """Have every `@persist()` of this process use the fleet's store."""
    chosen = settings or fleet_settings()
    set_flow_persistence_factory(lambda: StoredFlows(settings=chosen))


def _patiently(call: Callable[[], Any]) -> Any:
    """What the call returns, asked again for as long as a failover may take."""
    try:
        for pause_s in patience.failover_pauses():
            try:
                return call()
            except (MasterNotFoundError, ResponseError) as error:
                if not isinstance(error, MasterNotFoundError) and not patience.is_refused_for_now(error):
                    raise
                time.sleep(pause_s)
        return call()
    except MasterNotFoundError:
        raise StateUnavailable(patience.NO_PRIMARY) from None
    except RedisError as error:
        raise StateUnavailable(f"the state store: {error}") from error


@cache
def _client(settings: FleetSettings) -> Redis:
    pauses = ExponentialBackoff(cap=patience.LONGEST_PAUSE_S, base=patience.FIRST_PAUSE_S)
    patient = {
        "retry": Retry(pauses, patience.RETRIES),
        "retry_on_error": [LostConnection, TimedOut, ReadOnlyError, OSError],
    }
    if settings.sentinels is None:
        return Redis(
            connection_pool=BlockingConnectionPool.from_url(settings.redis_url, **patience.POOL, **patient)
        )
    asked, options = sentinel_options(settings.redis_url, parse_url(settings.redis_url))
    sentinel = Sentinel(list(settings.sentinels.addresses), sentinel_kwargs=asked, **options)
    return sentinel.master_for(settings.sentinels.primary, **patient)
