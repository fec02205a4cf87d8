"""One machine's SSH connection, shared by every thread that works on it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future

import paramiko

from provisioning.errors import CommandError, CommandTimeout, HostError, LinkBroken
from provisioning.ssh.address import Address
from provisioning.ssh.hostkey import HostKey, parse_host_key
from provisioning.ssh.link import BROKEN, Link, open_link
from provisioning.ssh.scripts import SCRIPT_SHELL, as_one_command, put_advice, put_argv, title
from provisioning.ssh.session import LinkLost, Result, TimeIsOver

SESSIONS = 4
"""At most this many at once: sshd allows 10 per connection, and a closed one counts until its command ends."""


class Connection:
    """Commands and files as root on one machine; thread-safe. Made and closed by `Connections`.

    Every method raises HostError when the machine cannot be used and CommandError when a command fails. A link
    that died is opened again once, for commands that had not started; one that was running raises LinkBroken.
    """

    def __init__(
        self, address: Address, password: str | None, handshakes: threading.Semaphore | None = None
    ) -> None:
        self.address = address
        self._pinned = pin(address)
        self._password = password
        self._handshakes = handshakes or threading.Semaphore()
        self._sessions = threading.Semaphore(SESSIONS)
        self._lock = threading.Lock()  # guards what follows; nothing slow is done while it is held
        self._link: Link | None = None
        self._attempt: Future[Link] | None = None
        self._closed = False

    @property
    def host_key(self) -> str:
        """The key the machine showed, "ssh-ed25519 AAAA…", which is what to pin next time."""
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
            said = result.stderr
            advice = put_advice(said)
            raise CommandError(self.address.label, argv, result.exit_code, said, what=what, advice=advice)

    def close(self) -> None:
        """Ends the link for good; commands that still run raise LinkBroken at once."""
        with self._lock:
            self._closed = True
            link, self._link = self._link, None
        if link:
            link.close()

    def _run(
        self, argv: Sequence[str], stdin: bytes, timeout_s: float, *, check: bool, what: str = ""
    ) -> Result:
        host = self.address.label
        self._live_link()  # before queueing, so that all who wait for a dead machine learn of it together
        with self._sessions:
            link, channel = self._session()
            try:
                result = link.exchange(channel, argv, stdin, timeout_s)
            except TimeIsOver as over:
                advice = _still_open(over.exit_code) if over.exit_code >= 0 else ""
                raise CommandTimeout(host, argv, timeout_s, over.output, what=what, advice=advice) from None
            except LinkLost:
                if link.is_alive:
                    raise CommandError(host, argv, None, what=what) from None
                raise LinkBroken(host, argv, what=what) from None
        if check and result.exit_code:
            said = result.stderr.strip() or result.stdout
            raise CommandError(host, argv, result.exit_code, said, what=what)
        return result

    def _session(self) -> tuple[Link, paramiko.Channel]:
        """A fresh session; a link that turns out to be dead is replaced once."""
        link = self._live_link()
        try:
            return link, link.session()
        except BROKEN:
            self._drop(link)
        link = self._live_link()
        try:
            return link, link.session()
        except BROKEN as error:
            self._drop(link)
            sentence = f"its connection keeps breaking off ({error}); check the network to it"
            raise HostError(self.address.label, sentence) from error

    def _live_link(self) -> Link:
        """The link, opened if need be. Threads that come while one opens it share its attempt and its failure."""
        with self._lock:
            if self._closed:
                raise HostError(self.address.label, "its connection was closed by this program")
            if self._link and self._link.is_alive:
                return self._link
            attempt, mine = self._attempt, self._attempt is None
            if attempt is None:
                attempt = self._attempt = Future()
        if mine:
            self._make(attempt)
        return attempt.result()

    def _make(self, attempt: Future[Link]) -> None:
        try:
            with self._handshakes:
                link = open_link(self.address, self._password, self._pinned)
        except BaseException as error:
            with self._lock:
                self._attempt = None
            attempt.set_exception(error)
            return
        with self._lock:
            self._attempt, self._link, self._pinned = None, link, link.host_key
            closed = self._closed
        if closed:
            link.close()
        attempt.set_result(link)

    def _drop(self, link: Link) -> None:
        with self._lock:
            if self._link is link:
                self._link = None
        link.close()


def pin(address: Address) -> HostKey | None:
    """The key that the address asks for. Raises HostError when it is not one."""
    try:
        return parse_host_key(address.host_key) if address.host_key else None
    except ValueError as error:
        raise HostError(address.label, str(error)) from None


def _still_open(exit_code: int) -> str:
    return (
        f"it had ended (exit {exit_code}), but something that it started still holds its output open: "
        "start that with systemd-run, or send its output elsewhere"
    )
