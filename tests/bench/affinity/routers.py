"""Who decides which replica gets a turn: a gateway at one address, or a reference that costs nothing and knows all."""

# ruff: noqa: ARG002 - a router is told whose turn it is, whether it matters or not

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Protocol


class Router(Protocol):
    """Asked before each turn for the address that it goes to, and told when a session is over."""

    def address_for(self, session_key: str) -> str: ...

    def forget(self, session_key: str) -> None: ...


class ThroughGateway:
    """Everything goes to one address; the program there decides."""

    def __init__(self, address: str) -> None:
        self._address = address

    def address_for(self, session_key: str) -> str:
        return self._address

    def forget(self, session_key: str) -> None:
        """The program there finds out for itself."""


class StickyLeastLoaded:
    """The reference: a new session goes to the replica with the fewest live sessions, and stays there.

    It runs in the client, so it adds no latency, sees every session at once and knows at which moment one ends: no
    gateway can know that.
    """

    def __init__(self, servers: Sequence[str]) -> None:
        self._servers = servers
        self._place: dict[str, str] = {}

    def address_for(self, session_key: str) -> str:
        if session_key not in self._place:
            live = Counter(self._place.values())
            self._place[session_key] = min(self._servers, key=lambda server: live[server])
        return self._place[session_key]

    def forget(self, session_key: str) -> None:
        del self._place[session_key]


class RoundRobin:
    """Turn by turn, whoever asks."""

    def __init__(self, servers: Sequence[str]) -> None:
        self._next = itertools.cycle(servers)

    def address_for(self, session_key: str) -> str:
        return next(self._next)

    def forget(self, session_key: str) -> None:
        """Nothing is remembered."""
