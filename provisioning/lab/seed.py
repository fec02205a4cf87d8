"""What a node's disk is given before its first boot, and again before every other. Pure."""

from __future__ import annotations

import io
import ipaddress
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_HOST_KEY = "etc/ssh/ssh_host_ed25519_key"


@dataclass(frozen=True)
class SeedFile:
    """A file of root's in the node."""

    text: str
    mode: int = 0o644


def seed_files(
    name: str, address: str, resolv_conf: str, authorized_keys: Iterable[str], host_key: tuple[str, str]
) -> Mapping[str, SeedFile]:
    """Path without its leading slash, to file. `host_key` is the private and the public half.

    sshd shows this key only: an image may hold others, which would be the same on every node.
    """
    private, public = host_key
    return {
        "etc/hostname": SeedFile(f"{name}\n"),
        "etc/hosts": SeedFile(f"127.0.0.1 localhost\n{address} {name}\n::1 localhost ip6-localhost\n"),
        "etc/resolv.conf": SeedFile(resolv_conf),
        "root/.ssh/authorized_keys": SeedFile("".join(f"{key}\n" for key in authorized_keys), 0o600),
        _HOST_KEY: SeedFile(private, 0o600),
        f"{_HOST_KEY}.pub": SeedFile(f"{public}\n"),
        "etc/ssh/sshd_config.d/agentfleet-lab.conf": SeedFile(f"HostKey /{_HOST_KEY}\n"),
    }


def archive(files: Mapping[str, SeedFile]) -> bytes:
    """The files as a tar archive: equal files give equal bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, file in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.mode, entry.size = file.mode, len(file.text.encode())
            tar.addfile(entry, io.BytesIO(file.text.encode()))
    return packed.getvalue()


def node_resolv_conf(candidates: Iterable[str]) -> str:
    """The first resolv.conf that names a server which a node can reach, without those that it cannot; "" if none does.

    A server on this computer's loopback (systemd-resolved's 127.0.0.53) is out of a node's reach; the second
    candidate is then the list of the servers behind it.
    """
    for text in candidates:
        lines = [line for line in text.splitlines() if not _on_loopback(line)]
        if any(line.split()[:1] == ["nameserver"] for line in lines):
            return "".join(f"{line}\n" for line in lines)
    return ""


def _on_loopback(line: str) -> bool:
    match line.split():
        case ["nameserver", server, *_]:
            try:
                return ipaddress.ip_address(server.partition("%")[0]).is_loopback
            except ValueError:
                return True
        case _:
            return False
