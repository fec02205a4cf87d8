"""Servers that hold the same, changed in turn: against a command that answers from a table."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from provisioning.converge import peers
from provisioning.converge.machine import Machine
from provisioning.converge.peers import Place, in_turn
from provisioning.converge.ring import Rings
from provisioning.errors import HostError, Interrupted, PeersError, RingStopped, RolledBack, Unfinished
from provisioning.ssh import Connection
from provisioning.ssh.session import Result
from provisioning.state import Peers

PEERS = Peers("demo/state", "state on node-1", ("/peers",))
FREE, WAITS, COPIES, NOBODY = (0, ""), (1, "why not yet"), (2, "it still copies"), (3, "nobody takes writes")


@dataclass
class Server:
    """A machine whose `peers` gives one answer after the other, the last one for ever; `done` is what happened."""

    leave: list[tuple[int, str]] = field(default_factory=lambda: [FREE])
    back: list[tuple[int, str]] = field(default_factory=lambda: [FREE])
    done: list[str] = field(default_factory=list)

    def script(self, text: str, *words: str, timeout_s: float, check: bool) -> Result:
        assert text.startswith("# asking a server")
        assert words[0] == "/peers"
        assert (timeout_s, check) == (peers.ANSWER_S, False)
        self.done.append(words[1])
        answers = getattr(self, words[1])
        code, said = answers.pop(0) if len(answers) > 1 else answers[0]
        return Result(code, f"{said}\n", "")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "POLL_S", 0)


@pytest.fixture
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer is the last."""
    for name in ("PEERS_WAIT_S", "COPY_WAIT_S", "NOBODY_WAIT_S"):
        monkeypatch.setattr(peers, name, -1)


def place_of(server: Server, rings: Rings | None = None, **fields: Any) -> Place:
    shell = cast("Connection", server)
    machine = Machine("node-1", shell, threading.RLock(), "demo", lambda _: None)
    usual = {"machine": machine, "peers": PEERS, "ring": (rings or Rings()).ring("demo/state")}
    return Place(**{**usual, "warn": server.done.append, **fields})


def change(
    place: Place, error: Exception | None = None, *, touched: bool = True, serves: bool = True
) -> None:
    with in_turn(place, touched=touched, serves=serves):
        cast("Server", place.machine.shell).done.append("(changed)")
        if error:
            raise error


@pytest.mark.parametrize(
    ("touched", "serves", "expected"),
    [
        pytest.param(True, True, ["leave", "(changed)", "back"], id="it runs, and is restarted"),
        pytest.param(True, False, ["(changed)", "back"], id="it did not run: nobody has to do without it"),
        pytest.param(False, False, ["(changed)"], id="its process is not touched"),
    ],
)
def test_the_others_are_asked_when_a_process_is_disturbed(
    touched: bool, serves: bool, expected: list[str]
) -> None:
    server = Server()
    change(place_of(server), touched=touched, serves=serves)
    assert server.done == expected


def test_a_service_without_peers_asks_nobody() -> None:
    with in_turn(None, touched=True, serves=True):
        pass


def test_it_waits_until_the_others_can_do_without_it_and_until_it_is_back() -> None:
    server, said = Server([WAITS, NOBODY, FREE], [WAITS, COPIES, FREE]), list[str]()
    place = place_of(server)
    change(replace(place, machine=replace(place.machine, progress=said.append)))
    assert server.done == [*["leave"] * 3, "(changed)", *["back"] * 3]
    assert said == [f"state on node-1: waits since {why}" for _, why in (WAITS, NOBODY, WAITS, COPIES)]


@pytest.mark.usefixtures("no_patience")
def test_one_that_the_others_cannot_do_without_is_left_as_it_was() -> None:
    server = Server([WAITS])
    sentence = (
        r"host node-1: state on node-1 was left as it was: why not yet \(waited 0 s\): bring the others back"
    )
    with pytest.raises(PeersError, match=sentence):
        change(place_of(server))
    assert "(changed)" not in server.done


@pytest.mark.usefixtures("no_patience")
def test_where_nobody_takes_writes_there_is_nothing_to_keep_and_the_change_may_mend_it() -> None:
    server = Server([NOBODY])
    change(place_of(server))
    assert server.done == [
        "leave",
        "state on node-1: nobody takes writes (waited 0 s); it is changed all the same",
        *("(changed)", "back"),
    ]


@pytest.mark.usefixtures("no_patience")
@pytest.mark.parametrize("answer", [WAITS, COPIES])
def test_one_that_does_not_come_back_is_new_and_stops_the_others(answer: tuple[int, str]) -> None:
    rings = Rings()
    with pytest.raises(Unfinished, match=rf"state on node-1 runs, but {answer[1]} .*: see to the others"):
        change(place_of(Server(back=[answer]), rings))
    other = replace(PEERS, member="state on node-2")
    with pytest.raises(RingStopped, match=r"state on node-2 was left as it was, serving: .* state on node-1"):
        change(place_of(Server(), rings, peers=other))


def test_one_that_went_back_to_what_it_was_stops_the_others_too() -> None:
    rings, server = Rings(), Server()
    with pytest.raises(RolledBack):
        change(place_of(server, rings), RolledBack(HostError("node-1", "gone"), "how it went"))
    assert server.done == ["leave", "(changed)"]
    with pytest.raises(RingStopped):
        change(place_of(Server(), rings))


def test_an_operator_can_stop_the_wait() -> None:
    server = Server([WAITS])
    place = place_of(server)
    stopped: Callable[[], bool] = lambda: True  # noqa: E731 - the shape that a machine has
    with pytest.raises(Interrupted, match="state on node-1 waited since why not yet"):
        change(replace(place, machine=replace(place.machine, stopped=stopped)))
    assert server.done == ["leave"]
