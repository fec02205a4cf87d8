"""The shell texts, run by this computer's own sh: what arrives torn does nothing, what fails leaves nothing."""

from __future__ import annotations

import os
import stat
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioning.ssh.scripts import SCRIPT_SHELL, as_one_command, put_advice, put_argv, title
from support.waiting import wait_until

_USER, _GROUP = str(os.geteuid()), str(os.getegid())


def _run_script(sent, *args, cwd=None):
    return subprocess.run([*SCRIPT_SHELL, *args], input=sent, capture_output=True, check=False, cwd=cwd)


def _put(path, data, sent=None, mode="0640", owner=_USER):
    argv = put_argv(str(path), data, mode, owner, _GROUP)
    return subprocess.run(
        argv, input=data if sent is None else sent, capture_output=True, text=False, check=False
    )


def test_a_script_sees_its_arguments_and_an_empty_stdin():
    ended = _run_script(as_one_command("cat\necho $1-$2"), "a b", "c")
    assert ended.stdout == b"a b-c\n"


def test_a_script_stops_at_its_first_failure():
    ended = _run_script(as_one_command("false\necho on"))
    assert (ended.returncode, ended.stdout) == (1, b"")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_script_that_is_torn_on_its_way_does_nothing(tmp_path, data):
    whole = as_one_command("touch done-1\ntouch done-2 # {\ncat <<'end'\ntext\nend\ntouch done-3")
    torn = whole[: data.draw(st.integers(0, whole.rindex(b"}") - 1))]
    _run_script(torn, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("# bring the engine\nset -x\n", 'the script "bring the engine"'),
        ("#!/bin/sh\n\n  # bring it\n", 'the script "bring it"'),
        ("mkdir -p /opt\n", 'the script "mkdir -p /opt"'),
        ("x" * 200, f'the script "{"x" * 79}…"'),
        ("", 'the script ""'),
    ],
)
def test_how_errors_call_a_script(text, name):
    assert title(text) == name


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=5000), st.sampled_from(["0600", "0644", "0755"]))
def test_a_file_holds_what_was_put(tmp_path, data, mode):
    path = tmp_path / "a 'file'.conf"
    assert _put(path, data, mode=mode).returncode == 0
    assert path.read_bytes() == data
    assert oct(path.stat().st_mode & 0o7777) == oct(int(mode, 8))
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_a_file_is_replaced_and_a_link_with_it(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("kept")
    link.symlink_to(target)
    assert _put(link, b"new").returncode == 0
    assert (link.is_symlink(), link.read_text(), target.read_text()) == (False, "new", "kept")


def test_a_file_that_is_being_written_is_for_its_writer_alone(tmp_path):
    argv = put_argv(str(tmp_path / "secret"), b"secret", "0644", _USER, _GROUP)
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as writer:
        assert writer.stdin
        writer.stdin.write(b"sec")
        writer.stdin.flush()
        wait_until(lambda: any(entry.stat().st_size for entry in tmp_path.iterdir()), "some of it is written")
        (beside,) = tmp_path.iterdir()
        assert stat.S_IMODE(beside.stat().st_mode) == 0o600
        writer.stdin.write(b"ret")
    assert [entry.name for entry in tmp_path.iterdir()] == ["secret"]


_FAILURES = {
    "torn": ("x", {"sent": b"da"}, "not all of it arrived", "run again"),
    "no folder": ("missing/x", {}, "its folder", "create the folder first"),
    "a folder in its place": (
        "folder",
        {},
        "cannot overwrite directory",
        "a folder is in its place; remove it",
    ),
    "unknown owner": (
        "x",
        {"owner": "no-such-user"},
        "invalid user",
        "create the user first, or correct owner and group",
    ),
    "no mode": ("x", {"mode": "99"}, "invalid mode", ""),
}


@pytest.mark.parametrize("case", _FAILURES)
def test_a_failed_write_says_why_and_leaves_nothing(tmp_path, case):
    name, changes, words, advice = _FAILURES[case]
    (tmp_path / "folder").mkdir()
    ended = _put(tmp_path / name, b"data", **changes)
    assert ended.returncode == 1
    assert words in ended.stderr.decode()
    assert put_advice(ended.stderr.decode()) == advice
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    assert _put(path, b"data", sent=b"da").returncode == 1
    assert path.read_text() == "old"
