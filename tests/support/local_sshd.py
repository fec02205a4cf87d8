"""An sshd of the tests' own on 127.0.0.1, a forwarder before it that can be cut, and servers that misbehave."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko

from provisioning.ssh import Address

SSHD = Path("/usr/sbin/sshd")
_SETTINGS = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/ed25519
HostKey {folder}/rsa
AuthorizedKeysFile {folder}/identity.pub
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
"""


@dataclass(frozen=True)
class LocalSshd:
    """Where it listens, and its keys' folder: `identity` logs in as root; `ed25519` and `rsa` are its own."""

    port: int
    folder: Path

    @property
    def address(self) -> Address:
        """With the login's key and without a pin."""
        return Address("127.0.0.1", self.port, identity_file=str(self.folder / "identity"))

    def host_key(self, kind: str) -> str:
        """Its key of that kind, without the comment."""
        return " ".join((self.folder / f"{kind}.pub").read_text().split()[:2])


@contextlib.contextmanager
def local_sshd(folder: Path) -> Iterator[LocalSshd]:
    """Runs while the block does. It obeys the user who runs the tests, so that must be root."""
    for name, kind in (("ed25519", "ed25519"), ("rsa", "rsa"), ("identity", "ed25519")):
        generate_key(folder / name, kind)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = folder / "sshd_config"
    settings.write_text(_SETTINGS.format(port=port, folder=folder))
    Path("/run/sshd").mkdir(exist_ok=True)  # it drops its privileges there
    with subprocess.Popen([SSHD, "-D", "-e", "-f", settings], stderr=subprocess.PIPE, text=True) as daemon:
        try:
            assert daemon.stderr
            assert "listening on" in daemon.stderr.readline()
            threading.Thread(target=daemon.stderr.read, daemon=True).start()
            yield LocalSshd(port, folder)
        finally:
            daemon.terminate()


def generate_key(path: Path, kind: str = "ed25519", passphrase: str = "", form: str = "RFC4716") -> Path:
    """A key pair at `path` and `path`.pub; `form` is ssh-keygen's -m."""
    words = ["ssh-keygen", "-q", "-t", kind, "-m", form, "-N", passphrase, "-f", path]
    subprocess.run(words, check=True)
    return path


class Forwarder:
    """Passes connections on to a port, counts them, and can drop or cut them."""

    def __init__(self, port: int) -> None:
        self.accepted = 0
        self.to_drop = 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def cut(self) -> None:
        """Ends every connection that is open now."""
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def close(self) -> None:
        """Ends all, and listens no more."""
        _stop_listening(self._listener)
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.accepted += 1
                if self.to_drop:
                    self.to_drop -= 1
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=_pump, args=(one, other), daemon=True).start()


@contextlib.contextmanager
def misbehaving(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that treats each connection by `behave` and keeps it open until the end."""
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as kept:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    kept.callback(client.close)
                    behave(client)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        _stop_listening(listener)


def fingerprint(key: Path) -> str:
    """`SHA256:…`, computed by paramiko rather than by the code under test."""
    return str(paramiko.PKey.from_path(key).fingerprint)


def _stop_listening(listener: socket.socket) -> None:
    """A socket that a thread waits on stays open after close() alone."""
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for sock in (source, target):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
