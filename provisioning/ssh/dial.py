"""A TCP connection to something that greets like an SSH server, or the reason why there is none."""

from __future__ import annotations

import errno
import queue
import random
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

from provisioning.errors import HostError, Unreachable
from provisioning.ssh.address import Address
from provisioning.ssh.deadline import Deadline

RESOLVE_S = 8.0
CONNECT_S = 8.0
GREETING_S = 8.0
DEAD_LINK_MS = 12_000
"""Sent data that stays unacknowledged this long ends the link (tcp(7)); without it Linux takes 15 minutes."""
TURNED_AWAY_PAUSES_S = (0.3, 0.8, 1.5)
"""Before the next try at a server that is there but takes no login: sshd drops some at random when many come at once
(MaxStartups), and its port is closed for a moment while it restarts."""

_Endpoint = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]
"""What getaddrinfo answers: family, kind, protocol, name, and the family's own form of an address."""


def dial(address: Address, deadline: Deadline) -> socket.socket:
    """A connection whose other end has begun to greet. Raises Unreachable, or HostError for another program's port."""
    for pause_s in (*TURNED_AWAY_PAUSES_S, None):
        try:
            sock = _connect(address, deadline)
            _await_greeting(sock, address, deadline)
        except _TurnedAway as error:
            if pause_s is None or deadline.is_over:
                raise Unreachable(address.label, str(error)) from error
            time.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - spreads callers, guards nothing
        else:
            return sock
    raise AssertionError("the last try either returns or raises")


class _TurnedAway(Exception):
    """A machine that is there and takes no login at this moment; says so in a sentence."""


def _connect(address: Address, deadline: Deadline) -> socket.socket:
    """A TCP connection to the first of the name's addresses that takes one."""
    failure = OSError("the name has no address")
    own = Deadline(deadline.within(CONNECT_S))
    for family, kind, protocol, _, where in _resolve(address, deadline):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(own.within(CONNECT_S))
            sock.connect(where)
        except OSError as error:
            sock.close()
            failure = error
        else:
            _notice_dead_links(sock)
            return sock
    if failure.errno == errno.ECONNREFUSED:
        raise _TurnedAway(
            f"{address.endpoint} is closed: it is up, but no SSH server listens there; check the port and sshd"
        ) from failure
    raise Unreachable(address.label, _unreachable_sentence(failure, address.endpoint)) from failure


def _resolve(address: Address, deadline: Deadline) -> Sequence[_Endpoint]:
    """getaddrinfo with a limit: the resolver's own, with several name servers, can pass a minute."""
    answers: queue.SimpleQueue[Sequence[_Endpoint] | Exception] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, name=f"resolve {address.host}", daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.within(RESOLVE_S))
    except queue.Empty:
        answer = TimeoutError(f"no answer within {RESOLVE_S:g} s")
    if not isinstance(answer, Exception):
        return answer
    reason = getattr(answer, "strerror", None) or answer
    raise Unreachable(
        address.label,
        f"the name {address.host} does not resolve ({reason}); check its spelling, or give an IP address",
    )


def _notice_dead_links(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_LINK_MS)


def _unreachable_sentence(error: OSError, endpoint: str) -> str:
    if isinstance(error, TimeoutError):
        return (
            f"no answer from {endpoint} within {CONNECT_S:g} s; "
            "check that it runs, its address, and the firewalls between"
        )
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN):
        return (
            f"no way to {endpoint} from here ({error.strerror}); "
            "check that it runs, its address, and the network between"
        )
    return (
        f"cannot connect to {endpoint} ({error.strerror or error}); check its address and the network between"
    )


def _await_greeting(sock: socket.socket, address: Address, deadline: Deadline) -> None:
    """Waits for the server's first words and leaves them in place for the handshake; closes the socket on failure.

    paramiko tells the ways of being turned away apart in prose only, so they are told apart here.
    """
    try:
        sock.settimeout(deadline.within(GREETING_S))
        _judge_greeting(sock.recv(255, socket.MSG_PEEK), address)
    except TimeoutError as error:
        sock.close()
        raise Unreachable(
            address.label,
            f"{address.endpoint} takes connections, but no SSH server says hello within {GREETING_S:g} s; "
            "it may hang or be starting (look at its console), or another program listens there",
        ) from error
    except OSError as error:
        sock.close()
        raise _dropped(address) from error
    except (_TurnedAway, HostError):
        sock.close()
        raise


def _judge_greeting(words: bytes, address: Address) -> None:
    if not words or words.startswith((b"Exceeded MaxStartups", b"Not allowed at this time")):
        raise _dropped(address)
    if b"SSH"[: len(words)] not in words:
        said = "".join(c if c.isprintable() else " " for c in words.decode(errors="replace"))[:60].strip()
        sentence = f'{address.endpoint} does not speak SSH (it says "{said}"); check the port'
        raise HostError(address.label, sentence)


def _dropped(address: Address) -> _TurnedAway:
    return _TurnedAway(
        f"{address.endpoint} takes connections and closes them at once; the server may be starting, be flooded with "
        "logins (MaxStartups in sshd_config) or have blocked this computer (fail2ban)"
    )
