"""All connections of one program: one per machine and login, opened when first asked for, closed together."""

from __future__ import annotations

import threading
from types import TracebackType

import tenacity

from provisioning.errors import Unreachable
from provisioning.ssh.address import Address
from provisioning.ssh.connection import Connection, pin

HANDSHAKES = 16
"""At most this many logins at once, over all machines: they are work for this computer's processor."""


class Connections:
    """Hands out the connection to a machine; a context manager that closes them all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int, str, str, str | None], Connection] = {}
        self._handshakes = threading.Semaphore(HANDSHAKES)

    def get(self, address: Address, password: str | None = None, *, wait_s: float = 0) -> Connection:
        """An open connection to `address`.

        `password` is for the login (when there is no identity_file) and for sudo. A machine that does not answer
        is tried again for `wait_s` seconds, as one that boots needs; a refused login or a wrong key is not.
        """
        connection = self._connection(address, password)
        if wait_s <= 0:
            connection.open()
            return connection
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Unreachable),
            stop=tenacity.stop_after_delay(wait_s),
            wait=tenacity.wait_exponential(multiplier=0.25, max=5) + tenacity.wait_random(0, 0.5),
            reraise=True,
        ):
            with attempt:
                connection.open()
        return connection

    def close_all(self) -> None:
        """Ends every link; commands that still run raise LinkBroken at once."""
        with self._lock:
            connections, self._known = list(self._known.values()), {}
        for connection in connections:
            connection.close()

    def _connection(self, address: Address, password: str | None) -> Connection:
        """The connection of this login; a new one when the caller pins another key than the known one was."""
        login = (address.host, address.port, address.user, address.identity_file, password)
        pinned = pin(address)
        with self._lock:
            known = self._known.get(login)
            if known and pinned and known.host_key not in ("", str(pinned)):
                known.close()
                known = None
            if known is None:
                known = self._known[login] = Connection(address, password, self._handshakes)
            return known

    def __enter__(self) -> Connections:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close_all()
