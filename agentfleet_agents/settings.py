"""The fleet as agents.env describes it: where the model answers, and where agents keep their state."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


class SettingsMissing(Exception):
    """A variable of agents.env that the environment lacks."""


@dataclass(frozen=True)
class Sentinels:
    """Who knows which server is the primary now: addresses, and the name that they know it by."""

    addresses: tuple[tuple[str, int], ...]
    primary: str


@dataclass(frozen=True)
class FleetSettings:
    """What agents must know. `redis_url` and `valkey_url` are the same store, for two clients; both hold a password.

    `sentinels` is None for a store of one server. `durability` is LangGraph's, as the store was sized for.
    """

    base_url: str
    api_key: str = field(repr=False)
    model: str
    session_header: str
    redis_url: str = field(repr=False)
    valkey_url: str = field(repr=False)
    state_ttl_s: int
    durability: str
    sentinels: Sentinels | None = None


def fleet_settings(environment: Mapping[str, str] = os.environ) -> FleetSettings:
    """The settings of the environment. Raises SettingsMissing for the first variable that is not there."""
    try:
        return FleetSettings(
            base_url=environment["OPENAI_BASE_URL"],
            api_key=environment["OPENAI_API_KEY"],
            model=environment["AGENTFLEET_MODEL"],
            session_header=environment.get("AGENTFLEET_SESSION_HEADER", "X-Session-Id"),
            redis_url=environment["REDIS_URL"],
            valkey_url=environment["VALKEY_URL"],
            state_ttl_s=int(environment["AGENTFLEET_STATE_TTL_S"]),
            durability=environment["AGENTFLEET_STATE_DURABILITY"],
            sentinels=_sentinels(environment),
        )
    except KeyError as error:
        message = f"{error.args[0]} is not set: read agents.env first, which `make env` writes"
        raise SettingsMissing(message) from None


def sentinel_options(url: str, parsed: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """How to reach Sentinels, and how servers: user, password, TLS and time-outs are those of the store's URL for both.

    `parsed` is what a client library makes of that URL.
    """
    options = {key: value for key, value in parsed.items() if key not in {"host", "port", "connection_class"}}
    if urlsplit(url).scheme in {"valkeys", "rediss"}:
        options["ssl"] = True
    return {key: value for key, value in options.items() if key != "db"}, options


def _sentinels(environment: Mapping[str, str]) -> Sentinels | None:
    listed = environment.get("AGENTFLEET_STATE_SENTINELS", "")
    if not listed:
        return None
    pairs = (item.rpartition(":") for item in listed.split(","))
    addresses = tuple((host, int(port)) for host, _, port in pairs)
    return Sentinels(addresses, environment["AGENTFLEET_STATE_PRIMARY"])
