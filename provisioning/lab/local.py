"""Runs programs on this computer: lists of words, as root where they must be, each failure as one sentence."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from provisioning.errors import LabError

PACKAGES = {
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "nft": "nftables",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
}
"""Programs that a Debian may lack, and the packages that bring them."""

OTHERWISE = "or list real machines in the spec (nodes.source: ssh)"
_SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TIMEOUT_S = 120


@dataclass(frozen=True)
class Finished:
    """How a program ended."""

    exit_code: int
    stdout: str
    stderr: str


def require_programs() -> None:
    """Raises LabError with all packages that are missing here."""
    missing = sorted({package for program, package in PACKAGES.items() if not _found(program)})
    if missing:
        raise LabError(
            f"lab nodes need packages that this computer lacks: run `apt-get install {' '.join(missing)}`, {OTHERWISE}"
        )


def run(words: Sequence[str], *, stdin: bytes = b"", check: bool = True) -> Finished:
    """Runs a program as this user. Raises LabError when it cannot start and, with `check`, when it fails."""
    environment = {**os.environ, "PATH": _SEARCH_PATH, "LC_ALL": "C.UTF-8"}
    try:
        ended = subprocess.run(
            words, input=stdin, capture_output=True, env=environment, timeout=_TIMEOUT_S, check=False
        )
    except FileNotFoundError as error:
        raise LabError(_missing(words[0])) from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{shlex.join(words)}` did not end within {_TIMEOUT_S} s on this computer") from error
    stdout, stderr = (stream.decode(errors="replace") for stream in (ended.stdout, ended.stderr))
    finished = Finished(ended.returncode, stdout, stderr)
    if check and finished.exit_code != 0:
        raise LabError(failure(words, finished))
    return finished


def run_as_root(words: Sequence[str], *, stdin: bytes = b"", check: bool = True) -> Finished:
    """Runs a program as root: directly, or by a sudo that must not ask for a password."""
    if os.geteuid() == 0:
        return run(words, stdin=stdin, check=check)
    finished = run(["sudo", "-n", "--", *words], stdin=stdin, check=False)
    verdict = finished.stderr.strip().splitlines()[-1:]  # sudo may grumble about other things before
    if finished.exit_code != 0 and verdict and verdict[0].startswith(_SUDO_REFUSES):
        raise LabError(
            f"lab nodes need root for `{words[0]}`, and sudo does not let this user ({verdict[0]}): "
            f"allow it in /etc/sudoers without a password, run as root, {OTHERWISE}"
        )
    if check and finished.exit_code != 0:
        raise LabError(failure(words, finished))
    return finished


def failure(words: Sequence[str], finished: Finished) -> str:
    """A failed command as a sentence that says what to do, where its words are known. Pure."""
    said = " ".join(finished.stderr.split()) or "it said nothing"
    where = f"`{shlex.join(words)}` failed on this computer (exit {finished.exit_code}): {said}"
    for phrase, advice in _ADVICE.items():
        if phrase in said:
            return f"{advice}; {where}"
    return where


@contextmanager
def plain_errors() -> Iterator[None]:
    """A file of the lab that cannot be read or written is a LabError too."""
    try:
        yield
    except OSError as error:
        advice = _ADVICE["No space left on device"] if error.errno == errno.ENOSPC else "see who owns it"
        raise LabError(f"{error.filename or 'a file of the lab'}: {error.strerror}; {advice}") from error


_SUDO_REFUSES = ("sudo:", "Sorry, user")
_FORBIDDEN = (
    "this computer does not let root make namespaces and mounts, as is usual in a container: "
    f"use a whole or virtual machine, {OTHERWISE}"
)
_ADVICE = {
    "Operation not permitted": _FORBIDDEN,
    "Permission denied": _FORBIDDEN,
    "Read-only file system": _FORBIDDEN,
    "No space left on device": "the disk is full: make room, or set AGENTFLEET_HOME to a folder on a larger one",
    "wrong fs type": "the file system of the state folder cannot hold a node's disk: "
    "set AGENTFLEET_HOME to a folder on ext4, xfs or btrfs",
}


def _found(program: str) -> bool:
    return shutil.which(program, path=_SEARCH_PATH) is not None


def _missing(program: str) -> str:
    if program == "sudo":
        return f"lab nodes need root, and this user is not root and has no sudo: run as root, {OTHERWISE}"
    return f"{program} is missing on this computer: run `apt-get install {PACKAGES.get(program, program)}`, {OTHERWISE}"
