"""Failures of local commands as sentences, and processes known by their words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from provisioning.errors import LabError
from provisioning.lab import local
from provisioning.lab.local import Finished, failure, plain_errors, require_programs, run, run_as_root
from provisioning.lab.processes import keepers_of, send


@pytest.mark.parametrize(
    ("stderr", "advice"),
    [
        (
            "mount --make-shared /run/netns failed: Operation not permitted",
            "does not let root make namespaces",
        ),
        ("tee: /proc/sys/net/ipv4/ip_forward: Read-only file system", "does not let root make namespaces"),
        (
            "tar: ./x: Cannot write: No space left on device",
            "the disk is full: make room, or set AGENTFLEET_HOME",
        ),
        ("mount: wrong fs type, bad option, bad superblock", "set AGENTFLEET_HOME to a folder on ext4"),
        (
            "RTNETLINK answers: File exists",
            "`ip link add x` failed on this computer (exit 2): RTNETLINK answers",
        ),
        ("", "it said nothing"),
    ],
)
def test_a_failed_command_says_what_to_do(stderr: str, advice: str) -> None:
    sentence = failure(["ip", "link", "add", "x"], Finished(2, "", stderr))
    assert advice in sentence
    assert "\n" not in sentence


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_SEARCH_PATH", "/nowhere")
    with pytest.raises(
        LabError,
        match=r"apt-get install iproute2 nftables openssh-client systemd-container`.*nodes\.source: ssh",
    ):
        require_programs()
    with pytest.raises(LabError, match=r"nft is missing on this computer: run `apt-get install nftables`"):
        run(["nft", "list", "ruleset"])


@pytest.fixture
def as_user_with_sudo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nobody is root, and the sudo on the path is the script that the test writes here."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(local, "_SEARCH_PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "sudo"


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_user_runs_as_root_by_sudo_without_a_password(as_user_with_sudo: Path) -> None:
    script(as_user_with_sudo, 'test "$1 $2" = "-n --" || exit 9; shift 2; exec "$@"')
    assert run_as_root(["cat"], stdin=b"text").stdout == "text"


def test_a_command_that_fails_under_sudo_is_not_sudos_refusal(as_user_with_sudo: Path) -> None:
    script(as_user_with_sudo, 'echo "sudo: unable to resolve host box" >&2; shift 2; exec "$@"')
    with pytest.raises(
        LabError, match=r"`sh -c 'echo broken >&2; exit 3'` failed on this computer \(exit 3\)"
    ):
        run_as_root(["sh", "-c", "echo broken >&2; exit 3"])


@pytest.mark.parametrize(
    "said", ["sudo: a password is required", "Sorry, user ann may not run '/usr/sbin/nft'."]
)
def test_sudos_refusal_names_the_command(as_user_with_sudo: Path, said: str) -> None:
    script(as_user_with_sudo, f'echo "{said}" >&2; exit 1')
    with pytest.raises(
        LabError, match=r"lab nodes need root for `nft`, and sudo does not let this user .*/etc/sudoers"
    ):
        run_as_root(["nft", "list", "ruleset"], check=False)


def test_without_root_and_sudo_there_is_no_lab(
    as_user_with_sudo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_SEARCH_PATH", str(as_user_with_sudo.parent))
    with pytest.raises(LabError, match=r"this user is not root and has no sudo: run as root"):
        run_as_root(["true"])


def test_an_unreadable_file_is_a_sentence_too(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=rf"{tmp_path}/missing: No such file or directory"), plain_errors():
        (tmp_path / "missing").read_text()


@contextmanager
def process_of(program: str, machine: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits, whose name and words are chosen."""
    code = f"open('/proc/self/comm', 'w').write('{program}'); print(flush=True); input()"
    words = [sys.executable, "-c", code, f"--machine={machine}"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


MACHINE = f"afl-test-{os.getpid()}"


def test_a_nodes_keepers_are_known_by_program_and_machine() -> None:
    with (
        process_of("systemd-nspawn", MACHINE) as node,
        process_of("sh", MACHINE) as keeper,
        process_of("less", MACHINE),
        process_of("systemd-nspawn", f"{MACHINE}-2"),
    ):
        assert {process.pid for process in keepers_of(MACHINE)} == {node.pid, keeper.pid}
    assert keepers_of(MACHINE) == []


def test_a_signal_reaches_the_process_that_was_meant_and_no_later_one_of_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)  # our own child needs no sudo
    with process_of("systemd-nspawn", MACHINE) as node:
        [found] = keepers_of(MACHINE)
        send("TERM", [replace(found, started_ticks=found.started_ticks - 1)])
        assert keepers_of(MACHINE) == [found]
        send("TERM", [found])
        assert node.wait(timeout=30) == -signal.SIGTERM
