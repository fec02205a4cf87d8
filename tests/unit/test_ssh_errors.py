"""The sentences of failed commands."""

from __future__ import annotations

import pytest

from provisioning.errors import (
    CommandError,
    CommandTimeout,
    HostError,
    LinkBroken,
    ProvisioningError,
    Unreachable,
)

_APT = ["apt-get", "install", "a b"]
_AGAIN = "check that the machine is up, then run again: what is done already is not done twice"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (HostError("gpu-1", "is no use"), "host gpu-1: is no use"),
        (Unreachable("gpu-1", "is silent"), "host gpu-1: is silent"),
        (CommandError("gpu-1", _APT, 100), "host gpu-1: `apt-get install 'a b'` failed (exit 100)"),
        (
            CommandError("gpu-1", _APT, 100, "E: no\n\n"),
            "host gpu-1: `apt-get install 'a b'` failed (exit 100): E: no",
        ),
        (
            CommandError("gpu-1", _APT, 100, "one\ntwo"),
            "host gpu-1: `apt-get install 'a b'` failed (exit 100):\n  one\n  two",
        ),
        (CommandError("gpu-1", _APT, 137), "host gpu-1: `apt-get install 'a b'` failed (exit 137, SIGKILL)"),
        (CommandError("gpu-1", _APT, 255), "host gpu-1: `apt-get install 'a b'` failed (exit 255)"),
        (CommandError("gpu-1", _APT, None), "host gpu-1: `apt-get install 'a b'` failed (no exit status)"),
        (
            CommandError("gpu-1", _APT, 1, "disk full", what="writing /x", advice="free space"),
            "host gpu-1: writing /x failed (exit 1): disk full; free space",
        ),
        (
            CommandError("gpu-1", _APT, 1, "one\ntwo", advice="free space"),
            "host gpu-1: `apt-get install 'a b'` failed (exit 1):\n  one\n  two\nfree space",
        ),
        (
            CommandTimeout("gpu-1", _APT, 60, "Waiting"),
            "host gpu-1: `apt-get install 'a b'` did not end within 60 s and was stopped: Waiting",
        ),
        (
            LinkBroken("gpu-1", _APT),
            "host gpu-1: the connection broke while `apt-get install 'a b'` ran, so its outcome is unknown; "
            + _AGAIN,
        ),
    ],
)
def test_the_sentence(error, message):
    assert str(error) == message
    assert isinstance(error, ProvisioningError)


def test_only_the_last_lines_of_long_output_and_the_start_of_long_lines_are_shown():
    error = CommandError("gpu-1", ["x" * 500], 1, "\n".join(f"{i} " + "y" * 500 for i in range(30)))
    lines = str(error).splitlines()
    assert len(lines) == 9
    assert lines[1].startswith("  22 yyy")
    assert max(len(line) for line in lines) < 310
    assert error.stderr.count("\n") == 29


@pytest.mark.parametrize("error", [CommandTimeout("h", ["x"], 1), LinkBroken("h", ["x"])])
def test_a_command_whose_end_nobody_saw_has_no_exit_code(error):
    assert error.exit_code is None
