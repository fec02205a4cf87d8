"""A logged-in connection that has been seen to run commands as root."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

import paramiko

from provisioning.errors import HostError
from provisioning.ssh.address import Address
from provisioning.ssh.deadline import Deadline
from provisioning.ssh.elevation import PROBE, Elevation, elevations, is_root, refusal
from provisioning.ssh.handshake import closed_on_failure, connect
from provisioning.ssh.hostkey import HostKey
from provisioning.ssh.login import log_in
from provisioning.ssh.session import LinkLost, Result, TimeIsOver, exchange

OPEN_S = 26.0
"""From the name to a root shell; each step has a limit of its own below that."""
_PROBE_S = 13.0
"""A cloud image answers a forbidden root login with a sentence, which is worth quoting, and hangs up 10 s later."""
_SESSION_WAIT_S = 20.0
"""Longer than a dead link takes to show, and than a stopped command takes to end and free its session (6 s)."""
_SLOWER_S = 1.0
"""The machine's own limit comes this much later than ours, which is the one that is reported."""

BROKEN = (paramiko.SSHException, OSError, EOFError)
"""What paramiko raises when a link is or becomes unusable."""


@dataclass(frozen=True)
class Link:
    """One encrypted connection with its login done; many sessions can be open on it at once."""

    address: Address
    transport: paramiko.Transport
    host_key: HostKey
    elevation: Elevation

    @property
    def is_alive(self) -> bool:
        """False once the other end is known to be gone, which can take half a minute to show."""
        return self.transport.is_active()

    def session(self) -> paramiko.Channel:
        """A fresh session. Raises one of BROKEN for a dead link, HostError for a server that grants no more.

        What the server refuses now may be free soon, and a link that does not answer may carry others' commands: it
        is given up only when it is known to be dead. (A refusal is no ChannelException for every thread: paramiko
        hands that to whichever looks first, and the others a bare SSHException.)
        """
        deadline = Deadline(_SESSION_WAIT_S)
        while True:
            try:
                return self.transport.open_session(timeout=deadline.within(_SESSION_WAIT_S))
            except paramiko.SSHException as error:
                if not self.is_alive:
                    raise
                if deadline.is_over:
                    sentence = (
                        f"its SSH server grants no session within {_SESSION_WAIT_S:g} s; look whether it hangs, "
                        "or set MaxSessions to 10 or more in sshd_config there"
                    )
                    raise HostError(self.address.label, sentence) from error
            time.sleep(0.5)

    def exchange(
        self, channel: paramiko.Channel, argv: Sequence[str], stdin: bytes, timeout_s: float
    ) -> Result:
        """Runs the command as root in the session. Raises TimeIsOver and LinkLost."""
        return _exchange(channel, self.elevation, argv, stdin, timeout_s)

    def close(self) -> None:
        """Ends every session on it."""
        self.transport.close()


def open_link(address: Address, password: str | None, pinned: HostKey | None) -> Link:
    """Connects, checks the key, logs in and becomes root, or raises HostError within about OPEN_S seconds."""
    deadline = Deadline(OPEN_S)
    transport, host_key = connect(address, pinned, deadline)
    with closed_on_failure(transport):
        log_in(transport, address, password, deadline)
        elevation = _become_root(transport, address, password, deadline)
        return Link(address, transport, host_key, elevation)


def _become_root(
    transport: paramiko.Transport, address: Address, password: str | None, deadline: Deadline
) -> Elevation:
    result = Result(1, "", "")
    for elevation in elevations(address.user, password):
        try:
            channel = transport.open_session(timeout=deadline.within(_PROBE_S))
            result = _exchange(channel, elevation, PROBE, b"", deadline.within(_PROBE_S))
        except TimeIsOver as over:
            sentence = (
                f"user {address.user} can log in, but a command does not end within {_PROBE_S:g} s; look at its shell "
                f"and its start-up files there{over.output and ': '}{over.output.strip()}"
            )
            raise HostError(address.label, sentence) from None
        except (LinkLost, *BROKEN) as error:
            sentence = (
                f"it takes the login of user {address.user} and then hangs up ({str(error) or 'no reason given'}); "
                "see `journalctl -u ssh` there"
            )
            raise HostError(address.label, sentence) from error
        if is_root(result):
            return elevation
    raise HostError(address.label, refusal(result, address.user))


def _exchange(
    channel: paramiko.Channel, elevation: Elevation, argv: Sequence[str], stdin: bytes, timeout_s: float
) -> Result:
    command = elevation.command_line(argv, timeout_s + _SLOWER_S)
    with contextlib.closing(channel):
        return exchange(channel, command, elevation.stdin + stdin, timeout_s)
