"""The machines that the provider speaks to: one connection and one lock for each, shared by all of its resources."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from provisioning.ssh import Address, Connection, Connections


class Machines:
    """Connections by address; thread-safe."""

    def __init__(self) -> None:
        self._connections = Connections()
        self._locks: dict[tuple[str, int], threading.RLock] = {}
        self._guard = threading.Lock()

    def connect(self, connection: Mapping[str, Any], password: str | None, wait_s: float = 0) -> Connection:
        """The connection that the `connection` properties describe, opened when it is first needed.

        Raises HostError; Unreachable when nothing answers within `wait_s` and the usual time-out.
        """
        return self._connections.get(address_of(connection), password or None, wait_s=wait_s)

    def lock(self, connection: Mapping[str, Any]) -> threading.RLock:
        """Held while packages, files and the record of that machine are changed."""
        with self._guard:
            return self._locks.setdefault((connection["address"], connection["port"]), threading.RLock())

    def close(self) -> None:
        """End every connection."""
        self._connections.close_all()


def address_of(connection: Mapping[str, Any]) -> Address:
    """The `connection` property of a Host as the SSH layer's address."""
    return Address(
        host=connection["address"],
        port=connection["port"],
        user=connection["user"],
        host_key=connection["host_key"],
        identity_file=connection["identity_file"],
        name=connection["name"],
    )
