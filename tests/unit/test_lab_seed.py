"""What a node's disk is given before it boots."""

from __future__ import annotations

import io
import tarfile

import pytest

from provisioning.lab.seed import archive, node_resolv_conf, seed_files

UPLINK = "nameserver 192.0.2.53\nsearch example.org\n"
STUB = "# by systemd-resolved\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch example.org\n"

FILES = seed_files(
    "node-1", "198.18.7.11", UPLINK, ["ssh-ed25519 AAA", "ssh-ed25519 BBB"], ("PRIVATE\n", "ssh-ed25519 CCC")
)


@pytest.mark.parametrize(
    ("candidates", "chosen"),
    [
        ([UPLINK, "nameserver 203.0.113.53\n"], UPLINK),
        ([STUB, UPLINK], UPLINK),
        (["nameserver 127.0.0.1\nnameserver 192.0.2.53"], "nameserver 192.0.2.53\n"),
        (["nameserver ::1\n", "nameserver fe80::1%eth0\n"], "nameserver fe80::1%eth0\n"),
        ([STUB], ""),
        (["nameserver banana\n"], ""),
        ([], ""),
    ],
    ids=["own", "behind the stub", "loopback left out", "version 6", "out of reach", "nonsense", "none"],
)
def test_a_node_is_told_only_of_name_servers_that_it_reaches(candidates: list[str], chosen: str) -> None:
    assert node_resolv_conf(candidates) == chosen


def test_everybody_with_a_key_may_log_in() -> None:
    assert FILES["root/.ssh/authorized_keys"].text == "ssh-ed25519 AAA\nssh-ed25519 BBB\n"


def test_sshd_shows_the_nodes_own_key_and_no_other() -> None:
    [config] = [file.text for path, file in FILES.items() if "sshd_config.d" in path]
    assert config == "HostKey /etc/ssh/ssh_host_ed25519_key\n"
    assert FILES["etc/ssh/ssh_host_ed25519_key"].text == "PRIVATE\n"


def test_secrets_are_roots_alone() -> None:
    secret = {path for path, file in FILES.items() if file.mode == 0o600}
    assert secret == {"root/.ssh/authorized_keys", "etc/ssh/ssh_host_ed25519_key"}


def test_the_archive_holds_the_files_as_roots_and_is_repeatable() -> None:
    packed = archive(FILES)
    assert packed == archive(dict(reversed(FILES.items())))
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        entries = tar.getmembers()
        assert {entry.name: entry.mode for entry in entries} == {
            path: file.mode for path, file in FILES.items()
        }
        assert {(entry.uid, entry.gid) for entry in entries} == {(0, 0)}
        hosts = tar.extractfile("etc/hosts")
        assert hosts is not None
        assert b"198.18.7.11 node-1\n" in hosts.read()
