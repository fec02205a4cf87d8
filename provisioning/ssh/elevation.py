"""Becoming root after the login, and understanding a login that cannot. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field

from provisioning.ssh.session import Result

_AS_ROOT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8; export PATH LC_ALL; "
    'limit=$1; shift; timeout -k 5 "$limit" "$@"; exit $?'
)
"""Run by sh, which turns a death by signal N into exit 128+N: paramiko does not pass on sshd's own word for it.

The command's own time limit is kept on the machine too. A closed channel does not end what runs at its other end, and
sshd counts that as an open session until it does.
"""

_MARK = "agentfleet-login"
PROBE = ("sh", "-c", f"echo {_MARK} $(id -u)")
"""Shows in one go that the shell obeys, prints nothing of its own, and that we are root."""


@dataclass(frozen=True)
class Elevation:
    """How commands become root's: words put before them, and bytes put before their stdin (a password, for sudo)."""

    prefix: tuple[str, ...] = ()
    stdin: bytes = field(default=b"", repr=False)

    def command_line(self, argv: Sequence[str], limit_s: float) -> str:
        """The line for the login shell; the only place where words are quoted."""
        return shlex.join([*self.prefix, "sh", "-c", _AS_ROOT, "sh", f"{limit_s:g}", *argv])


def elevations(user: str, password: str | None) -> tuple[Elevation, ...]:
    """The ways to become root, in the order to try them.

    `-k` makes sudo forget an earlier success, so that it reads the password line each time or never.
    """
    if user == "root":
        return (Elevation(),)
    free = Elevation(("env", "LC_ALL=C", "sudo", "-n", "-k", "--"))
    if password is None:
        return (free,)
    asked = ("env", "LC_ALL=C", "sudo", "-S", "-k", "-p", "", "--")
    return (free, Elevation(asked, password.encode() + b"\n"))


def is_root(result: Result) -> bool:
    """Whether the probe's answer is that of a quiet root shell."""
    return result.exit_code == 0 and result.stdout == f"{_MARK} 0\n"


def refusal(result: Result, user: str) -> str:
    """Why the probe did not find a root shell, and what to do, from what it printed."""
    mark = result.stdout.find(_MARK)
    if mark > 0:
        return (
            f"the shell of user {user} prints {_quoted(result.stdout[:mark])} before a command's own output; "
            "make its start-up files (.bashrc, .profile) silent when they are not interactive"
        )
    if mark == 0:
        return f"commands of user {user} do not run as root (the probe answered {_quoted(result.stdout)})"
    said = (result.stderr + result.stdout).strip()
    for phrase, sentence in _REFUSALS:
        if phrase in said:
            return sentence.format(user=user)
    if "sudo" in said:
        return f"sudo does not let user {user} become root ({_quoted(_last_line(said))}); {_NOPASSWD.format(user=user)}"
    what = f"it says {_quoted(said)}" if said else f"exit {result.exit_code}"
    return (
        f"user {user} can log in but not run commands ({what}); log in as another user, or give this one a normal "
        "shell such as /bin/bash"
    )


_NOPASSWD = "put '{user} ALL=(ALL) NOPASSWD: ALL' into /etc/sudoers.d/agentfleet there, or log in as root"
_INSTALL = "sudo is not installed there; log in as root, or install it and " + _NOPASSWD
_REFUSALS = (
    ("Sorry, try again", "sudo refuses the password of user {user}; correct it, or " + _NOPASSWD),
    ("incorrect password", "sudo refuses the password of user {user}; correct it, or " + _NOPASSWD),
    ("a password is required", "sudo asks user {user} for a password; give password_config, or " + _NOPASSWD),
    ("not in the sudoers file", "sudo knows no user {user}; " + _NOPASSWD),
    ("not allowed to", "sudo does not let user {user} run every command; " + _NOPASSWD),
    (
        "must have a tty",
        "sudo there wants a terminal; remove requiretty from /etc/sudoers, or log in as root",
    ),
    ("env: 'sudo': No such file", _INSTALL),
    ("env: \u2018sudo\u2019: No such file", _INSTALL),  # in a UTF-8 locale
    ("timeout: not found", "the command `timeout` is missing there; install coreutils"),
)


def _last_line(text: str) -> str:
    return text.splitlines()[-1]


def _quoted(text: str) -> str:
    words = " ".join(text.split())
    return f'"{words[:120]}…"' if len(words) > 120 else f'"{words}"'
