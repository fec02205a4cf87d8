"""Leaving the ring, draining and returning, against a gateway that answers from a table; who may be disturbed when."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from provisioning.converge import rotation
from provisioning.converge.actual import Actual, ActualUnit
from provisioning.converge.changes import Changes
from provisioning.converge.ring import Rings
from provisioning.converge.ring_status import Member, awaited, find, nobody_left, others_of, parse_status
from provisioning.converge.rotation import Membership, is_out_by_update, leave_for_good, out_of_ring
from provisioning.errors import (
    CommandError,
    HostError,
    Interrupted,
    ProvisioningError,
    RingStopped,
    RolledBack,
    RotationError,
    Unfinished,
    Unreachable,
)
from provisioning.provider.machines import Machines
from provisioning.provider.membership import leaving, membership, with_ring
from provisioning.provider.resource import Context
from provisioning.provider.values import Properties
from provisioning.ssh import Connection
from provisioning.ssh.session import Result
from provisioning.state import Rotation

ROTATION = Rotation("demo/agents", "agents-0", "192.0.2.1:8001", ("/rotate",), 0)
BROKEN = HostError("gpu-1", "gone")


@dataclass
class Gateway:
    """A gateway's machine: what `rotate` was asked, and what it answers; an integer is an exit code."""

    in_flight: list[int] = field(default_factory=list)
    answers: dict[str, str | int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def script(self, text: str, *words: str, timeout_s: float, check: bool) -> Result:
        assert text.startswith("# asking the gateway")
        assert (words[0], timeout_s, check) == ("/rotate", 150, False)
        verb = words[1]
        if verb != "status":
            self.asked.append(" ".join(words[1:]))
        answer = self.answers.get(verb, "")
        if isinstance(answer, int):
            return Result(answer, "", "rotate: what it says\n")
        if verb == "in-flight":
            answer = str(self.in_flight.pop(0) if self.in_flight else 0)
        return Result(0, answer or json.dumps({"pools": {}}), "")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "POLL_S", 0)
    monkeypatch.setattr(rotation, "OTHERS_WAIT_S", -1)


def member_of(gateway: Gateway, rings: Rings | None = None, **fields: Any) -> Membership:
    usual: dict[str, Any] = {
        "host": "node-1",
        "shell": cast("Connection", gateway),
        "rotation": ROTATION,
        "address_before": "192.0.2.1:8000",
        "ring": (rings or Rings()).ring("demo/agents"),
        "progress": lambda _: None,
        "warn": lambda _: None,
        "stopped": lambda: False,
    }
    return Membership(**{**usual, **fields})


def status_of(**members: dict[str, Any]) -> str:
    """A pool, each member by what differs from one that serves."""
    replicas = {
        name.replace("_", "-"): {"ring": "in", "healthy": True, **item} for name, item in members.items()
    }
    return json.dumps({"pools": {"agents": {"replicas": replicas}}})


def change(member: Membership, error: Exception | None = None, *, touched: bool = True) -> None:
    with out_of_ring(member, touched=touched, serves=touched):
        cast("Gateway", member.shell).asked.append("(changed)")
        if error:
            raise error


def rolled_back(*, serves: bool) -> RolledBack:
    return RolledBack(BROKEN, "how it went", serves=serves)


LEFT = ["out agents-0 update", "in-flight agents-0", "(changed)"]
NEW, OLD = "in agents-0 192.0.2.1:8001 update", "in agents-0 192.0.2.1:8000 update"


@pytest.mark.parametrize(
    ("touched", "error", "expected"),
    [
        pytest.param(True, None, [*LEFT, NEW], id="out, drain, change, in"),
        pytest.param(False, None, ["(changed)", NEW], id="undisturbed: a member that was left out is put in"),
        pytest.param(True, rolled_back(serves=True), [*LEFT, OLD], id="serving as before: in again"),
        pytest.param(True, rolled_back(serves=False), LEFT, id="going back failed: stays out"),
        pytest.param(True, Unfinished(BROKEN), LEFT, id="nobody knows: stays out"),
        pytest.param(False, rolled_back(serves=True), ["(changed)"], id="undisturbed and failed: as it was"),
    ],
)
def test_a_member_is_in_the_ring_when_it_serves(
    touched: bool, error: ProvisioningError | None, expected: list[str]
) -> None:
    gateway = Gateway()
    with pytest.raises(type(error)) if error else nullcontext():
        change(member_of(gateway), error, touched=touched)
    assert gateway.asked == expected


def test_no_gateway_means_nothing_to_drain() -> None:
    gateway = Gateway(answers=dict.fromkeys(("out", "in", "in-flight", "status"), 3))
    change(member_of(gateway))
    assert gateway.asked == ["out agents-0 update", "(changed)", NEW]
    assert not is_out_by_update(member_of(gateway))


def test_a_change_waits_until_nothing_is_in_flight_and_says_how_much_is() -> None:
    gateway, said = Gateway(in_flight=[3, 1]), list[str]()
    long = replace(ROTATION, drain_timeout_s=600)
    change(member_of(gateway, rotation=long, progress=said.append))
    assert said == ["agents-0: 3 requests in flight", "agents-0: 1 request in flight"]
    assert gateway.asked.count("in-flight agents-0") == 3


def test_what_does_not_end_in_time_is_warned_of_and_cut() -> None:
    gateway, warned = Gateway(in_flight=[2] * 9), list[str]()
    change(member_of(gateway, rotation=replace(ROTATION, drain_timeout_s=-1), warn=warned.append))
    assert warned == ["agents-0: 2 requests still in flight after -1 s; they end with its process"]


@pytest.mark.parametrize(
    ("fields", "answers", "error", "words"),
    [
        pytest.param({"stopped": lambda: True}, {}, Interrupted, "2 requests in flight", id="Ctrl-C"),
        pytest.param(
            {}, {"in-flight": 1}, CommandError, r"`/rotate in-flight agents-0` failed .exit 1.*it says"
        ),
    ],
)
def test_a_member_that_does_not_drain_returns_unchanged(
    fields: dict[str, Callable[[], bool]], answers: dict[str, str | int], error: type[Exception], words: str
) -> None:
    gateway = Gateway(in_flight=[2] * 9, answers=answers)
    long = replace(ROTATION, drain_timeout_s=600)
    with pytest.raises(error, match=words):
        change(member_of(gateway, rotation=long, **fields))
    assert gateway.asked == ["out agents-0 update", "in-flight agents-0", OLD]


def test_a_new_version_that_cannot_enter_is_kept_and_one_that_went_back_says_so() -> None:
    with pytest.raises(Unfinished, match=r"`/rotate in .* failed \(exit 1\): rotate: what it says"):
        change(member_of(Gateway(answers={"in": 1})))
    with pytest.raises(
        RolledBack, match=r"how it went, but it is out of the ring: .* failed \(exit 1\)"
    ) as raised:
        change(member_of(Gateway(answers={"in": 1})), rolled_back(serves=True))
    assert not raised.value.serves


def test_an_answer_that_is_none_is_an_error() -> None:
    with pytest.raises(CommandError, match=r"rotate status` failed .exit 0.: its answer is 'x'"):
        is_out_by_update(member_of(Gateway(answers={"status": "x"})))


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({}, False),
        ({"ring": "out", "out_by": "update"}, True),
        ({"ring": "out", "out_by": "operator"}, False),
        ({"ring": "out", "out_by": None}, False),
    ],
)
def test_only_what_an_update_left_out_is_drift(item: dict[str, Any], expected: bool) -> None:
    gateway = Gateway(answers={"status": status_of(agents_0=item)})
    assert is_out_by_update(member_of(gateway)) is expected


BY_OPERATOR = {"ring": "out", "out_by": "operator"}
BY_UPDATE = {"ring": "out", "out_by": "update"}
DEAD = {"healthy": False}


@pytest.mark.parametrize(
    ("others", "waits_for", "refused"),
    [
        pytest.param({"b": {}, "c": {}}, "", False, id="all serve"),
        pytest.param({"b": DEAD, "c": {}}, "b", False, id="one is down"),
        pytest.param({"b": BY_UPDATE, "c": {}}, "b", False, id="one was left out by a killed run"),
        pytest.param({"b": BY_OPERATOR, "c": {}}, "", False, id="one is drained: nobody waits for it"),
        pytest.param({}, "", False, id="a ring of one"),
        pytest.param({"b": BY_OPERATOR}, "", True, id="the other is drained"),
        pytest.param({"b": DEAD, "c": BY_UPDATE}, "bc", True, id="the others are down"),
    ],
)
def test_the_last_one_that_serves_is_left_alone(
    others: dict[str, dict[str, Any]], waits_for: str, refused: bool
) -> None:
    status = status_of(agents_0={}, **others)
    missing = awaited(others_of(parse_status(status), "agents-0"))
    assert "".join(one.name for one in missing) == waits_for
    gateway = Gateway(answers={"status": status})
    if not refused:
        change(member_of(gateway))
        return
    with pytest.raises(RotationError, match="only agents-0 of demo/agents serves, so it was left as it was"):
        change(member_of(gateway))
    assert gateway.asked == []


def test_one_that_does_not_serve_itself_may_always_be_changed() -> None:
    gateway = Gateway(answers={"status": status_of(agents_0=DEAD, b=DEAD)})
    change(member_of(gateway))
    assert gateway.asked == [*LEFT, NEW]


def test_members_are_found_in_their_pool_and_described() -> None:
    pools = parse_status(
        '{"pools": {"x": {"replicas": {"x-0": {"ring": "in", "healthy": true, "more": 1}}},'
        ' "y": {"replicas": {"y-0": {"ring": "out", "healthy": true, "out_by": "operator"},'
        ' "y-1": {"ring": "in", "healthy": false}}}}}'
    )
    assert find(pools, "x-0") == Member("x-0", True, "", True)
    assert find(pools, "z") is None
    assert others_of(pools, "x-0") == others_of(pools, "z") == ()
    assert [str(one) for one in others_of(pools, "x-0") or pools[1]] == [
        "y-0 was taken out by an operator",
        "y-1 does not answer",
    ]
    assert nobody_left(pools[1])
    assert not nobody_left(pools[0] + pools[1])


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"pools": {"x": {}}}', '{"pools": {"x": {"replicas": {"y": {}}}}}']
)
def test_what_is_no_status_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own, or ours
        parse_status(text)


def behind(gateway: Gateway, address: str = "192.0.2.9") -> Properties:
    """A service's properties as the provider keeps them; `gateway` answers at `address`."""
    return {
        "name": "agents-0",
        "rotation": {**asdict(ROTATION), "command": ["/rotate"], "in_ring": True},
        "gateway": {"connection": {"name": "node-1", "address": address}, "password": gateway},
    }


def context_of(warned: list[str], gone: str = "") -> Context:
    """What the provider gives; a machine at `gone` does not answer. The password carries the gateway to connect to."""

    def connect(connection: dict[str, str], gateway: Connection) -> Connection:
        if connection["address"] == gone:
            raise Unreachable("node-1", "does not answer")
        return gateway

    machines = cast("Machines", SimpleNamespace(connect=connect))
    return Context(machines, Rings(), lambda _: None, warned.append, lambda: False)


@pytest.mark.parametrize(
    ("status", "gone", "in_ring", "warning"),
    [
        pytest.param(status_of(agents_0=BY_UPDATE), "", False, "", id="left out by a change: drift"),
        pytest.param(status_of(agents_0=BY_OPERATOR), "", True, "", id="taken out by an operator: no drift"),
        pytest.param(1, "", True, "so whether agents-0 is in its ring is not known", id="the gateway is ill"),
        pytest.param("", "192.0.2.9", True, "", id="its machine is gone, which its own resource says"),
    ],
)
def test_a_refresh_asks_the_gateway_and_goes_on_without_it(
    status: str | int, gone: str, in_ring: bool, warning: str
) -> None:
    warned: list[str] = []
    found = with_ring(behind(Gateway(answers={"status": status})), context_of(warned, gone))
    assert found["rotation"]["in_ring"] is in_ring
    assert warning in "".join(warned)
    assert bool(warning) is bool(warned)


def test_a_member_moves_at_the_gateway_that_it_stands_behind_now() -> None:
    old, new = behind(Gateway()), behind(Gateway(), "192.0.2.10")
    new["rotation"] |= {"address": "192.0.2.1:9000", "drain_timeout_s": 7}
    member = membership(old, new, context_of([]))
    assert member is not None
    assert member.shell is old["gateway"]["password"]
    assert (member.address_before, member.rotation.address) == ("192.0.2.1:8001", "192.0.2.1:9000")
    assert member.rotation.drain_timeout_s == 7
    first = membership({"name": "agents-0"}, new, context_of([]))
    assert first is not None
    assert first.shell is new["gateway"]["password"]
    without = membership(old, {"name": "agents-0"}, context_of([]))
    assert without is not None
    assert without.rotation == ROTATION


def test_a_dead_gateway_stops_a_change_unless_it_moves_away_and_never_a_removal() -> None:
    old, moved, warned = behind(Gateway()), behind(Gateway(), "192.0.2.10"), list[str]()
    with pytest.raises(Unreachable):
        membership(old, old, context_of(warned, gone="192.0.2.9"))
    assert membership(old, moved, context_of(warned, gone="192.0.2.9")) is None
    assert leaving(old, context_of(warned, gone="192.0.2.9")) is None
    assert [line.splitlines()[-1] for line in warned] == [
        "the gateway leaves that machine, so agents-0 is changed without draining",
        "agents-0 is removed without draining",
    ]


def test_a_member_that_goes_drains_first_even_when_the_gateway_has_forgotten_it() -> None:
    gateway = Gateway(in_flight=[1], answers={"out": 3})
    leave_for_good(member_of(gateway, rotation=replace(ROTATION, drain_timeout_s=600)))
    assert gateway.asked == ["out agents-0 update", "in-flight agents-0", "in-flight agents-0"]


def test_after_a_failure_no_other_member_of_that_ring_is_disturbed() -> None:
    rings = Rings()
    with pytest.raises(RolledBack):
        change(member_of(Gateway(), rings), rolled_back(serves=True))
    other = Gateway()
    with pytest.raises(
        RingStopped, match="agents-1 was left as it was, serving: the change of agents-0, of the same"
    ):
        change(member_of(other, rings, rotation=replace(ROTATION, member="agents-1")))
    assert other.asked == []
    change(member_of(other, rings), touched=False)
    change(member_of(other, rings, ring=rings.ring("demo/other")))
    with out_of_ring(member_of(other, rings), touched=True, serves=False):
        pass  # a member that does not serve takes nothing away from the ring


def test_one_member_at_a_time_is_disturbed() -> None:
    ring, away, most = Rings().ring("r"), 0, 0
    waited = threading.Event()

    def disturb(name: str) -> None:
        nonlocal away, most
        with ring.turn(name, serves=True, waiting=lambda _: waited.set()):
            away += 1
            most = max(most, away)
            if name == "a":
                assert waited.wait(60), "nobody waits"
            away -= 1

    with ring.turn("new", serves=False, waiting=pytest.fail):
        threads = [threading.Thread(target=disturb, args=(name,)) for name in "abc"]
        for thread in threads:
            thread.start()
        assert waited.wait(60), "a member that does not serve yet is nobody's reason to wait"
    for thread in threads:
        thread.join(60)
    assert (most, away) == (1, 0)


def test_whoever_waits_can_be_stopped() -> None:
    rings = Rings()
    stopped = member_of(Gateway(), rings, stopped=lambda: True)
    with rings.ring("demo/agents").turn("agents-1", serves=True, waiting=pytest.fail):
        with pytest.raises(Interrupted, match="agents-0 waited for agents-1"):
            change(stopped)
        assert cast("Gateway", stopped.shell).asked == []


ACTIVE = Actual(units={"e": ActualUnit(active=True, state="active (running)"), "f": ActualUnit()})


@pytest.mark.parametrize(
    ("changes", "touches", "disturbs"),
    [
        (Changes(), False, False),
        (Changes(put=("/etc/x",), reload=("e",), packages=("p",), enable=("e",)), False, False),
        (Changes(restart=("e",)), True, True),
        (Changes(stop=("e",)), True, True),
        (Changes(drop_units=("e",)), True, True),
        (Changes(start=("f",)), True, False),
        (Changes(restart=("f",)), True, False),
    ],
)
def test_what_ends_a_process_disturbs(changes: Changes, touches: bool, disturbs: bool) -> None:
    assert (changes.touches_units, changes.disturbs(ACTIVE)) == (touches, disturbs)
