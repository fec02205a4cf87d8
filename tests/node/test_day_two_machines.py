"""Questions to many machines at once, over real SSH: an sshd on this computer, behind a door for each machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from provisioning.day_two import machines as day_two_machines
from provisioning.day_two.answers import TOO_LATE, Answer
from provisioning.day_two.machines import Machines, WayIn
from provisioning.errors import Unreachable
from support.local_sshd import Forwarder, LocalSshd


@pytest.fixture
def sixteen(sshd: LocalSshd) -> Iterator[Machines]:
    """Machines m-0 to m-15, each with a port of its own, and `nobody`, where nothing listens."""
    with ExitStack() as doors:
        ways_in = {}
        for index in range(16):
            door = Forwarder(sshd.port)
            doors.callback(door.close)
            ways_in[f"m-{index}"] = WayIn(replace(sshd.address, port=door.port, name=f"m-{index}"))
        ways_in["nobody"] = WayIn(replace(sshd.address, port=1, name="nobody"))
        with Machines(ways_in) as machines:
            yield machines


_MEET = 'touch "$1/$2"; until [ "$(ls "$1" | wc -l)" = "$3" ]; do sleep 0.05; done; echo met'


def test_machines_and_the_questions_of_each_are_asked_at_once(sixteen: Machines, tmp_path: Path) -> None:
    """Every command waits for all the others, so none would end if they came one after another."""
    answers = sixteen.ask(
        {
            f"m-{index}": [("sh", "-c", _MEET, "sh", str(tmp_path), f"{index}-{half}", "32") for half in "ab"]
            for index in range(16)
        }
    )
    assert answers == {f"m-{index}": (Answer(0, "met\n"), Answer(0, "met\n")) for index in range(16)}


def test_answers_stand_in_the_order_of_the_questions_whatever_becomes_of_each(
    sixteen: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(day_two_machines, "COMMAND_S", 1)
    quoted = ("printf", "%s|", "two words", "it's", '"$HOME"', "")
    answers = sixteen.ask(
        {
            "m-0": [
                ("sleep", "30"),
                quoted,
                ("sh", "-c", "echo said; echo why >&2; exit 7"),
                ("no-such-thing",),
            ],
            "m-1": [],
            "nobody": [("true",)],
        }
    )
    late, printed, failed, unknown = answers["m-0"]  # type: ignore[misc]
    assert late == Answer(TOO_LATE, "")
    assert printed == Answer(0, 'two words|it\'s|"$HOME"||')
    assert failed == Answer(7, "said\nwhy\n")
    assert unknown.exit_code == 127
    assert answers["m-1"] == ()
    assert isinstance(answers["nobody"], Unreachable)
