"""One machine's SSH connection, shared by every thread that works on it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import paramiko

from provisioning.errors import CommandError, CommandTimeout, HostError, LinkBroken
from provisioning.ssh.address import Address
from provisioning.ssh.elevation import PROBE, Elevation, elevations, is_root, refusal
from provisioning.ssh.hostkey import HostKey, parse_host_key
from provisioning.ssh.login import log_in
from provisioning.ssh.reach import closed_on_failure, connect
from provisioning.ssh.scripts import SCRIPT_SHELL, as_one_command, put_advice, put_argv, title
from provisioning.ssh.session import LinkLost, Result, TimeIsOver, exchange

SESSIONS = 4
"""At most this many at once: sshd allows 10 per connection, and a closed one counts until its command ends."""
_OPEN_SESSION_S = 10.0
_PROBE_S = 13.0
"""A cloud image answers a forbidden root login with a sentence, which is worth quoting, and hangs up 10 s later."""
_SLOWER_S = 1.0
"""The machine's own limit comes this much later than ours, which is the one that is reported."""


@dataclass(frozen=True)
class _Link:
    """A logged-in connection that has been seen to run commands as root."""

    transport: paramiko.Transport
    host_key: HostKey
    elevation: Elevation


class Connection:
    """Commands and files as root on one machine; thread-safe. Made and closed by `Connections`.

    Every method raises HostError when the machine cannot be used and CommandError when a command fails. A link
    that died is opened again once, for commands that had not started; one that was running raises LinkBroken.
    """

    def __init__(
        self, address: Address, password: str | None, handshakes: threading.Semaphore | None = None
    ) -> None:
        self.address = address
        self._password = password
        self._handshakes = handshakes or threading.Semaphore()
        self._sessions = threading.Semaphore(SESSIONS)
        self._lock = threading.Lock()
        self._link: _Link | None = None
        self._attempt: concurrent.futures.Future[_Link] | None = None
        self._closed = False
        try:
            self._pinned = parse_host_key(address.host_key) if address.host_key else None
        except ValueError as error:
            raise HostError(address.label, str(error)) from None

    @property
    def host_key(self) -> str:
        """The key the machine showed, "ssh-ed25519 AAAA…": what to pin next time. Empty until connected."""
        return str(self._pinned) if self._pinned else ""

    def open(self) -> None:
        """Connects, logs in and becomes root, unless that is done already."""
        self._live_link()

    def run(
        self, argv: Sequence[str], *, stdin: bytes = b"", timeout_s: float = 60, check: bool = True
    ) -> Result:
        """Runs a command as root, without a shell; secrets go by `stdin`, never in `argv`.

        After `timeout_s` it is stopped and CommandTimeout raised. With `check`, any exit code but 0 raises
        CommandError. A program that stays in the background must not keep stdout or stderr open.
        """
        return self._run(argv, stdin, timeout_s, check=check)

    def script(self, text: str, *args: str, timeout_s: float = 60, check: bool = True) -> Result:
        """Runs `text` by `sh -eu` as root with `args` as $1, $2 …; its stdin is empty.

        If it does not arrive whole, none of it runs. A comment on its first line names it in errors.
        """
        argv = (*SCRIPT_SHELL, *args)
        return self._run(argv, as_one_command(text), timeout_s, check=check, what=title(text))

    def put(  # noqa: PLR0913 - a file's attributes
        self, path: str, data: bytes, *, mode: str, owner: str, group: str, timeout_s: float = 300
    ) -> None:
        """Makes `data` the content of the file `path` in one step: a reader sees the old file or the new one.

        Written beside it (mode 0600 until complete), checked by its SHA-256, synced and renamed; nothing stays
        behind when that fails. The folder must exist. `mode` is octal text, such as "0640".
        """
        argv = put_argv(path, data, mode, owner, group)
        what = f"writing {path}"
        result = self._run(argv, data, timeout_s, check=False, what=what)
        if result.exit_code:
            advice = put_advice(result.stderr)
            raise CommandError(
                self.address.label, argv, result.exit_code, result.stderr, what=what, advice=advice
            )

    def close(self) -> None:
        """Ends the link for good; commands that still run raise LinkBroken at once."""
        with self._lock:
            self._closed = True
            link, self._link = self._link, None
        if link:
            link.transport.close()

    def _run(
        self, argv: Sequence[str], stdin: bytes, timeout_s: float, *, check: bool, what: str = ""
    ) -> Result:
        host = self.address.label
        with self._sessions:
            link, channel = self._session()
            try:
                result = _exchange(channel, link.elevation, argv, stdin, timeout_s)
            except TimeIsOver as over:
                advice = _still_open(over.exit_code) if over.exit_code >= 0 else ""
                raise CommandTimeout(host, argv, timeout_s, over.stderr, what=what, advice=advice) from None
            except LinkLost:
                if link.transport.is_active():
                    raise CommandError(host, argv, None, what=what) from None
                raise LinkBroken(host, argv, what=what) from None
        if check and result.exit_code:
            raise CommandError(
                host, argv, result.exit_code, result.stderr.strip() or result.stdout, what=what
            )
        return result

    def _session(self) -> tuple[_Link, paramiko.Channel]:
        """A fresh session; a link that turns out to be dead is replaced once."""
        link = self._live_link()
        try:
            return link, self._open_session(link)
        except (paramiko.SSHException, OSError, EOFError):
            self._drop(link)
        link = self._live_link()
        try:
            return link, self._open_session(link)
        except (paramiko.SSHException, OSError, EOFError) as error:
            self._drop(link)
            raise HostError(
                self.address.label, f"its connection keeps breaking off ({error}); check the network to it"
            ) from error

    def _open_session(self, link: _Link) -> paramiko.Channel:
        try:
            return link.transport.open_session(timeout=_OPEN_SESSION_S)
        except paramiko.ChannelException as error:
            raise HostError(
                self.address.label,
                f"its SSH server refuses another session ({error.text}); "
                "set MaxSessions to 10 or more in sshd_config",
            ) from error

    def _live_link(self) -> _Link:
        """The link, opened if need be. Threads that come while one opens it share its attempt and its failure."""
        with self._lock:
            if self._closed:
                raise HostError(self.address.label, "its connection was closed by this program")
            if self._link and self._link.transport.is_active():
                return self._link
            attempt, mine = self._attempt, self._attempt is None
            if attempt is None:
                attempt = self._attempt = concurrent.futures.Future()
        if mine:
            self._make(attempt)
        return attempt.result()

    def _make(self, attempt: concurrent.futures.Future[_Link]) -> None:
        try:
            with self._handshakes:
                link = _open_link(self.address, self._password, self._pinned)
        except BaseException as error:
            with self._lock:
                self._attempt = None
            attempt.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        with self._lock:
            self._attempt, self._link, self._pinned = None, link, link.host_key
            if self._closed:
                link.transport.close()
        attempt.set_result(link)

    def _drop(self, link: _Link) -> None:
        with self._lock:
            if self._link is link:
                self._link = None
        link.transport.close()


def _open_link(address: Address, password: str | None, pinned: HostKey | None) -> _Link:
    transport, host_key = connect(address, pinned)
    with closed_on_failure(transport):
        log_in(transport, address, password)
        return _Link(transport, host_key, _become_root(transport, address, password))


def _become_root(transport: paramiko.Transport, address: Address, password: str | None) -> Elevation:
    give_up = time.monotonic() + _PROBE_S
    result = Result(1, "", "")
    for elevation in elevations(address.user, password):
        try:
            channel = transport.open_session(timeout=_OPEN_SESSION_S)
            result = _exchange(channel, elevation, PROBE, b"", max(1.0, give_up - time.monotonic()))
        except TimeIsOver as over:
            raise HostError(
                address.label,
                f"user {address.user} can log in, but a command does not end within {_PROBE_S:g} s; "
                f"look at its shell and start-up files there{over.stderr and ': '}{over.stderr.strip()}",
            ) from None
        except (LinkLost, paramiko.SSHException, OSError, EOFError) as error:
            raise HostError(
                address.label,
                f"it takes the login of user {address.user} and then hangs up "
                f"({str(error) or 'no reason given'}); see `journalctl -u ssh` there",
            ) from error
        if is_root(result):
            return elevation
    raise HostError(address.label, refusal(result, address.user, password is not None))


def _exchange(
    channel: paramiko.Channel, elevation: Elevation, argv: Sequence[str], stdin: bytes, timeout_s: float
) -> Result:
    command = elevation.command_line(argv, timeout_s + _SLOWER_S)
    with contextlib.closing(channel):
        return exchange(channel, command, elevation.stdin + stdin, timeout_s)


def _still_open(exit_code: int) -> str:
    return (
        f"it had ended (exit {exit_code}), but something that it started still holds its output open: "
        "start that with systemd-run, or send its output elsewhere"
    )
