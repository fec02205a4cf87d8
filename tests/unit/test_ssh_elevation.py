"""Becoming root: the command line, and what a login that cannot says."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioning.ssh.elevation import PROBE, Elevation, elevations, is_root, refusal
from provisioning.ssh.session import Result

_WORDS = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), max_size=4)


def _by_login_shell(argv, limit_s=10.0, stdin=b""):
    return subprocess.run(
        ["sh", "-c", Elevation().command_line(argv, limit_s)], input=stdin, capture_output=True, check=False
    )


@settings(max_examples=60, deadline=None)
@given(_WORDS)
def test_words_arrive_as_they_were_given(words):
    ended = _by_login_shell(["printf", "%s\\0", "-", *words])
    assert ended.stdout.decode().split("\0")[1:-1] == words


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -SEGV $$", 139), ("kill -TERM $$", 143)],
)
def test_the_exit_code_tells_which_signal_ended_a_command(command, exit_code):
    assert _by_login_shell(["sh", "-c", command]).returncode == exit_code


def test_a_command_finds_the_programs_of_root_and_speaks_english():
    ended = _by_login_shell(["sh", "-c", "echo $PATH $LC_ALL"])
    assert ended.stdout == b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin C.UTF-8\n"


def test_a_command_over_its_time_is_ended_on_the_machine_too():
    assert _by_login_shell(["sleep", "60"], limit_s=0.1).returncode == 124


def test_root_needs_nothing_and_others_sudo():
    assert elevations("root", "secret") == (Elevation(),)
    (free,) = elevations("ubuntu", None)
    assert free.prefix[2:] == ("sudo", "-n", "-k", "--")
    _, asked = elevations("ubuntu", "secret")
    assert asked.prefix[2:] == ("sudo", "-S", "-k", "-p", "", "--")
    assert asked.stdin == b"secret\n"


def test_a_password_is_in_no_command_line_and_in_no_representation():
    _, asked = elevations("ubuntu", "secret")
    assert "secret" not in asked.command_line(["id"], 1.0) + repr(asked)


@pytest.mark.parametrize(
    ("result", "root"),
    [
        (Result(0, "agentfleet-login 0\n", ""), True),
        (Result(0, "agentfleet-login 1000\n", ""), False),
        (Result(0, "Welcome\nagentfleet-login 0\n", ""), False),
        (Result(1, "agentfleet-login 0\n", ""), False),
        (Result(0, "", ""), False),
    ],
)
def test_only_a_quiet_root_shell_counts(result, root):
    assert is_root(result) is root


def test_the_probe_answers_on_this_machine():
    assert _by_login_shell(PROBE).stdout.startswith(b"agentfleet-login ")


_NOPASSWD = "put 'eva ALL=(ALL) NOPASSWD: ALL' into /etc/sudoers.d/agentfleet there, or log in as root"
_SHELL = "log in as another user, or give this one a normal shell such as /bin/bash"
_REFUSALS = {
    "sudo wants a password": (
        Result(1, "", "sudo: a password is required\n"),
        f"sudo asks user eva for a password; give password_config, or {_NOPASSWD}",
    ),
    "wrong password": (
        Result(
            1, "", "Sorry, try again.\nsudo: no password was provided\nsudo: 1 incorrect password attempt\n"
        ),
        f"sudo refuses the password of user eva; correct it, or {_NOPASSWD}",
    ),
    "not a sudoer": (
        Result(1, "", "eva is not in the sudoers file.\n"),
        f"sudo knows no user eva; {_NOPASSWD}",
    ),
    "a sudoer for one command": (
        Result(1, "", "Sorry, user eva is not allowed to execute '/usr/bin/sh -c …' as root on gpu-1.\n"),
        f"sudo does not let user eva run every command; {_NOPASSWD}",
    ),
    "no sudo": (
        Result(127, "", "env: 'sudo': No such file or directory\n"),
        f"sudo is not installed there; log in as root, or install it and {_NOPASSWD}",
    ),
    "sudo that is broken": (
        Result(
            1,
            "",
            "sudo: /etc/sudoers is owned by uid 1000, should be 0\nsudo: no valid sudoers sources found\n",
        ),
        f'sudo does not let user eva become root ("sudo: no valid sudoers sources found"); {_NOPASSWD}',
    ),
    "sudo that wants a terminal": (
        Result(1, "", "sudo: sorry, you must have a tty to run sudo\n"),
        "sudo there wants a terminal; remove requiretty from /etc/sudoers, or log in as root",
    ),
    "nologin": (
        Result(1, "This account is currently not available.\n", ""),
        f'user eva can log in but not run commands (it says "This account is currently not available."); {_SHELL}',
    ),
    "a cloud image's root": (
        Result(142, 'Please login as the user "ubuntu" rather than the user "root".\n\n', ""),
        (
            "user eva can log in but not run commands "
            f'(it says "Please login as the user "ubuntu" rather than the user "root"."); {_SHELL}'
        ),
    ),
    "silence": (
        Result(3, "", ""),
        f"user eva can log in but not run commands (exit 3); {_SHELL}",
    ),
    "a talkative shell": (
        Result(0, "Welcome to  gpu-1\nagentfleet-login 0\n", ""),
        (
            'the shell of user eva prints "Welcome to gpu-1" before a command\'s own output; '
            "make its start-up files (.bashrc, .profile) silent when they are not interactive"
        ),
    ),
    "sudo to somebody else": (
        Result(0, "agentfleet-login 1001\n", ""),
        'commands of user eva do not run as root (the probe answered "agentfleet-login 1001")',
    ),
    "no coreutils": (
        Result(127, "", "sh: 1: timeout: not found\n"),
        "the command `timeout` is missing there; install coreutils",
    ),
}


@pytest.mark.parametrize("case", _REFUSALS)
def test_a_login_that_cannot_become_root_says_why_and_what_to_do(case):
    result, sentence = _REFUSALS[case]
    assert refusal(result, "eva") == sentence
