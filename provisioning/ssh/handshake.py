"""From an address to an encrypted link with the right machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from provisioning.errors import HostError, Unreachable
from provisioning.ssh.address import Address
from provisioning.ssh.deadline import Deadline
from provisioning.ssh.dial import dial
from provisioning.ssh.hostkey import HostKey, changed_key_sentence, in_preferred_order

HANDSHAKE_S = 10.0
KEEPALIVE_S = 5
"""Something is sent at least this often, so that a dead link is noticed after 5 + 12 s (DEAD_LINK_MS) at the latest."""


def connect(
    address: Address, pinned: HostKey | None, deadline: Deadline
) -> tuple[paramiko.Transport, HostKey]:
    """An encrypted link to the machine that holds `pinned` (or to any, when None), and the key it showed.

    Nothing secret has been sent yet. Raises Unreachable when no SSH server answers, HostError when a wrong one does.
    """
    transport = paramiko.Transport(dial(address, deadline))
    with closed_on_failure(transport):
        seen = _exchange_keys(transport, address, pinned, deadline)
        if pinned is not None and seen != pinned:
            keyscan = f"ssh-keyscan -p {address.port} {address.host}"
            raise HostError(address.label, changed_key_sentence(pinned, seen, keyscan))
    transport.set_keepalive(KEEPALIVE_S)
    return transport, seen


def _exchange_keys(
    transport: paramiko.Transport, address: Address, pinned: HostKey | None, deadline: Deadline
) -> HostKey:
    limit_s = deadline.within(HANDSHAKE_S)
    transport.banner_timeout = transport.handshake_timeout = limit_s
    options = transport.get_security_options()
    options.key_types = in_preferred_order(options.key_types, pinned)
    try:
        transport.start_client(timeout=limit_s)
        shown = transport.get_remote_server_key()
    except IncompatiblePeer as error:
        sentence = f"its SSH server and this program share no algorithm ({error}); update the server"
        raise HostError(address.label, sentence) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        raise Unreachable(
            address.label,
            f"its SSH server broke off the handshake, or did not finish it within {HANDSHAKE_S:g} s; "
            "it may be overloaded or going down: look at its console",
        ) from error
    return HostKey(shown.get_name(), shown.asbytes())


@contextlib.contextmanager
def closed_on_failure(transport: paramiko.Transport) -> Iterator[None]:
    """Ends the link, and with it its thread, when the block raises."""
    try:
        yield
    except BaseException:
        transport.close()
        raise
