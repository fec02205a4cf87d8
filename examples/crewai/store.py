"""Flow states in the fleet's Redis, so that any host can go on with a flow."""

from __future__ import annotations

import json
from typing import Any

from crewai.flow.persistence import FlowPersistence
from pydantic import BaseModel
from redis import Redis

PREFIX = "flow:"


class RedisFlowPersistence(FlowPersistence):
    """One key per flow, which lives as long as sessions are kept. An error of the server is an error of the flow."""

    url: str
    ttl_s: int

    def init_db(self) -> None:
        """Nothing: a key needs no preparation."""

    def save_state(self, flow_uuid: str, method_name: str, state_data: dict[str, Any] | BaseModel) -> None:  # noqa: ARG002
        """The state after a method, in place of the one before."""
        state = state_data.model_dump(mode="json") if isinstance(state_data, BaseModel) else state_data
        with Redis.from_url(self.url) as client:
            client.set(PREFIX + flow_uuid, json.dumps(state), ex=self.ttl_s)

    def load_state(self, flow_uuid: str) -> dict[str, Any] | None:
        """The last state that was saved, None when there is none."""
        with Redis.from_url(self.url) as client:
            found = client.get(PREFIX + flow_uuid)
        return None if found is None else json.loads(found)
