"""`fleet status|logs|drain|undrain` with stand-ins for Pulumi and the machines: what is run, said, and exited with."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from day_two_cases import WELL, answers, inventory, machine, member, outputs, replica, ring, stand_in_pulumi

from infra.cli import main as cli
from infra.day_two.questions import questions
from provisioning.day_two import machines as day_two_machines
from provisioning.day_two.answers import Answer, Answers
from provisioning.day_two.journal import Journals
from provisioning.errors import Unreachable

ROTATE = "/etc/agentfleet/demo/gateway/rotate"


@dataclass
class StandIn:
    """Machines whose answers are given by command, the last words first; what is not given is well."""

    given: dict[str, list[Answer]] = field(default_factory=dict)
    dead: dict[str, Exception] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    ways_in: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, ways_in: Mapping[str, Any]) -> StandIn:
        self.ways_in = ways_in
        return self

    def __enter__(self) -> StandIn:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def ask(self, commands: Mapping[str, Sequence[Sequence[str]]]) -> dict[str, Answers]:
        return {
            node: self.dead.get(node) or tuple(self.run(node, argv) for argv in items)
            for node, items in commands.items()
        }

    def run(self, node: str, argv: Sequence[str]) -> Answer:
        line = f"{node}: {' '.join(argv)}"
        self.ran.append(line)
        for words, said in self.given.items():
            if words in line:
                return said.pop(0) if len(said) > 1 else said[0]
        subject = {tuple(q.argv): q.subject for items in questions(inventory()).values() for q in items}
        return WELL[subject[tuple(argv)]] if tuple(argv) in subject else Answer(0, "")

    @property
    def rotated(self) -> list[str]:
        """What was asked of the gateway but for its status."""
        mark = f"node-1: {ROTATE} "
        return [
            line.removeprefix(mark) for line in self.ran if line.startswith(mark) and "status" not in line
        ]


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> StandIn:
    stand_in_pulumi(tmp_path, outputs(), {"gpuPassword": "opensesame"})
    stand_in = StandIn({"in-flight": [Answer(0, "0\n")]})
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(day_two_machines, "Machines", stand_in)
    monkeypatch.setattr("provisioning.day_two.rotate.POLL_S", 0)
    return stand_in


@pytest.fixture
def fleet(capsys: pytest.CaptureFixture[str], machines: StandIn) -> Callable[..., tuple[int, str, str]]:
    """Runs the command on these machines; its exit code, stdout and stderr."""
    assert not machines.ran

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.run(list(words))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


Run = Callable[..., tuple[int, str, str]]

# ---- status --------------------------------------------------------------------------------------------------------


def test_status_of_a_stack_that_is_well(fleet: Run) -> None:
    code, out, err = fleet("status", "demo")
    assert (code, err) == (0, "")
    assert "Replicas of demo" in out
    code, out, _ = fleet("status", "demo", "--format", "json")
    assert (code, json.loads(out)["well"]) == (0, True)


def test_status_exits_with_1_when_a_machine_is_silent(fleet: Run, machines: StandIn) -> None:
    machines.dead["node-2"] = Unreachable("node-2", "no answer")
    code, out, _ = fleet("status", "demo", "--format", "json")
    assert code == 1
    assert json.loads(out)["machines"][1] == {"name": "node-2", "problem": "host node-2: no answer"}


def test_a_stack_that_pulumi_does_not_know(fleet: Run) -> None:
    code, out, err = fleet("status", "other")
    assert (code, out) == (3, "")
    assert err.startswith("stack other: pulumi cannot read it: no stack named 'other' found (")


def test_no_pulumi_at_all(fleet: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    code, _, err = fleet("status", "demo")
    assert (code, err) == (
        3,
        "stack demo: there is no pulumi on the PATH; run the same through tools/run, which knows this computer's own\n",
    )


def test_passwords_are_asked_for_where_a_host_needs_one(
    fleet: Run, machines: StandIn, tmp_path: Path
) -> None:
    hosts = {
        "node-1": machine(11),
        "node-2": machine(12, password_config="gpuPassword"),  # noqa: S106
        "node-3": machine(13),
    }
    stand_in_pulumi(tmp_path, outputs(machines=hosts), {"gpuPassword": "opensesame"})
    assert fleet("status", "demo")[0] == 0
    assert {name: way_in.password for name, way_in in machines.ways_in.items()} == {
        "node-1": None,
        "node-2": "opensesame",
        "node-3": None,
    }


# ---- drain ---------------------------------------------------------------------------------------------------------


def test_drain_takes_out_waits_and_says_what_is_next(fleet: Run, machines: StandIn) -> None:
    machines.given["in-flight"] = [Answer(0, "2\n"), Answer(0, "2\n"), Answer(0, "1\n"), Answer(0, "0\n")]
    code, out, err = fleet("drain", "demo", "node-2")
    assert code == 0
    assert machines.rotated == ["out agents-0 operator", *["in-flight agents-0"] * 4]
    assert [line.partition(";")[0] for line in err.splitlines()] == [
        "agents-0 has 2 in flight",
        "agents-0 has 1 in flight",
    ]
    assert out == (
        "node-2 is drained: agents-0 out of the ring with nothing in flight\n"
        "Work on it now, reboots included; `fleet undrain demo node-2` puts it in again. "
        "`make up STACK=demo` leaves it out.\n"
    )


def test_drain_that_is_not_done_in_time_exits_with_1_and_stays_out(fleet: Run, machines: StandIn) -> None:
    machines.given["in-flight"] = [Answer(0, "2\n")]
    code, out, _ = fleet("drain", "demo", "node-2", "--timeout", "0", "--format", "json")
    assert code == 1
    assert json.loads(out) == {
        "stack": "demo",
        "node": "node-2",
        "drained": False,
        "replicas": [{"name": "agents-0", "ring": "out", "in_flight": 2}],
    }
    assert machines.rotated == ["out agents-0 operator", "in-flight agents-0"]


def test_drain_leaves_nobody_behind_unless_it_is_forced(fleet: Run, machines: StandIn) -> None:
    machines.given["status"] = [
        Answer(0, ring(agents_0=member(), agents_1=member(ring="out", out_by="operator")))
    ]
    code, out, err = fleet("drain", "demo", "node-2")
    assert (code, out) == (1, "")
    assert err == (
        "stack demo: nobody else serves pool agents (agents-1 was taken out by an operator), so agents-0 stayed in the "
        "ring; --force takes the last one out all the same\n"
    )
    assert machines.rotated == []
    assert fleet("drain", "demo", "node-2", "--force")[0] == 0
    assert machines.rotated[0] == "out agents-0 operator"


def test_a_drained_node_may_be_drained_again(fleet: Run, machines: StandIn) -> None:
    machines.given["status"] = [
        Answer(0, ring(agents_0=member(ring="out", out_by="operator"), agents_1=member(healthy=False)))
    ]
    assert fleet("drain", "demo", "node-2")[0] == 0


def test_drain_names_what_else_the_node_carries(fleet: Run, tmp_path: Path) -> None:
    stand_in_pulumi(tmp_path, outputs(replicas=[replica(0, node="node-1"), replica(1)]))
    _, out, _ = fleet("drain", "demo", "node-1")
    assert "node-1 carries gateway, state too, which serves on: a stop of node-1 stops that\n" in out


@pytest.mark.parametrize(
    ("node", "parts", "ended"),
    [
        ("node-9", {}, (2, "stack demo has no node node-9: it has node-1, node-2, node-3")),
        ("node-1", {}, (2, "stack demo: node node-1 carries no replica; those with one: node-2, node-3")),
        ("node-2", {"gateway": None}, (1, "stack demo has no gateway: its clients reach the replicas")),
    ],
)
def test_what_cannot_be_drained(
    fleet: Run, tmp_path: Path, node: str, parts: dict[str, Any], ended: tuple[int, str]
) -> None:
    stand_in_pulumi(tmp_path, outputs(**parts))
    code, _, err = fleet("drain", "demo", node)
    assert code == ended[0]
    assert err.startswith(ended[1])


def test_a_gateway_that_fails_says_so_in_its_own_words(fleet: Run, machines: StandIn) -> None:
    machines.given["rotate status"] = [Answer(3, "no gateway of demo runs here\n")]
    code, _, err = fleet("drain", "demo", "node-2")
    assert (code, err) == (
        3,
        f"host node-1: `{ROTATE} status` failed (exit 3): no gateway of demo runs here\n",
    )


def test_undrain_puts_in_what_answers(fleet: Run, machines: StandIn) -> None:
    code, out, _ = fleet("undrain", "demo", "node-2")
    assert (code, out) == (0, "node-2 is back: agents-0 in the ring\n")
    assert machines.rotated == ["in agents-0 198.18.7.12:8000 operator"]


def test_undrain_refuses_what_does_not_answer(fleet: Run, machines: StandIn) -> None:
    machines.given["198.18.7.12:8000/health"] = [Answer(7, "curl: (7) Connection refused\n\n000")]
    code, _, err = fleet("undrain", "demo", "node-2")
    assert code == 1
    assert err == (
        "stack demo: agents-0: does not answer /health (Connection refused); `fleet logs demo agents-0` shows what "
        "it is doing. Nothing was put in the ring; --force does it all the same\n"
    )
    assert machines.rotated == []
    assert fleet("undrain", "demo", "node-2", "--force")[0] == 0


# ---- logs ----------------------------------------------------------------------------------------------------------


def entry(time_us: int, message: Any, cursor: str = "c") -> str:
    item = {"__REALTIME_TIMESTAMP": str(time_us), "__CURSOR": cursor, "PRIORITY": "6", "MESSAGE": message}
    return json.dumps(item) + "\n"


def test_logs_are_merged_by_time(fleet: Run, machines: StandIn) -> None:
    machines.given["agents-0.service"] = [Answer(0, entry(1_000_001, "first") + entry(3_000_000, "third"))]
    machines.given["agents-1.service"] = [Answer(0, entry(2_500_000, "second"))]
    code, out, err = fleet("logs", "demo")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "1970-01-01T00:00:01.000Z agents-0 first",
        "1970-01-01T00:00:02.500Z agents-1 second",
        "1970-01-01T00:00:03.000Z agents-0 third",
    ]
    assert all("--lines=50" in line for line in machines.ran)


def test_logs_for_scripts_are_an_object_a_line(fleet: Run, machines: StandIn) -> None:
    machines.given["gateway.service"] = [Answer(0, entry(1, list(b"\x1b[31mred\x1b[0m")))]
    _, out, _ = fleet("logs", "demo", "gateway", "--format", "json")
    assert json.loads(out) == {
        "time": "1970-01-01T00:00:00.000Z",
        "node": "node-1",
        "service": "gateway",
        "unit": "agentfleet-demo-gateway.service",
        "priority": 6,
        "message": "\x1b[31mred\x1b[0m",
    }
    assert "red\n" in fleet("logs", "demo", "gateway")[1]
    assert "\x1b" not in fleet("logs", "demo", "gateway")[1]


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["node-1"], ["gateway", "state"]),
        (["agents-1"], ["agents-1"]),
        ([], ["gateway", "agents-0", "agents-1", "state"]),
    ],
)
def test_logs_of_a_node_a_service_or_all(
    fleet: Run, machines: StandIn, words: list[str], asked: list[str]
) -> None:
    assert fleet("logs", "demo", *words)[0] == 0
    units = [word for line in machines.ran for word in line.split() if word.startswith("--unit=")]
    assert sorted(units) == sorted(f"--unit=agentfleet-demo-{name}.service" for name in asked)


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["--lines", "7"], "--lines=7"),
        (["--since", "10m"], "--since=-10m"),
        (["--since", "2h", "--lines", "3"], "--lines=3 --since=-2h"),
    ],
)
def test_how_much_of_a_journal_is_asked_for(
    fleet: Run, machines: StandIn, words: list[str], asked: str
) -> None:
    fleet("logs", "demo", "gateway", *words)
    [line] = machines.ran
    assert line.endswith(f"--unit=agentfleet-demo-gateway.service {asked}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["nobody"],
            "stack demo has no service or node nobody: it has the services gateway, agents-0, agents-1, state",
        ),
        (
            ["--since", "yesterday"],
            "fleet: Invalid value: --since yesterday: give a period such as 90s, 10m, 2h or 1d",
        ),
        (["--lines", "-1"], "fleet: Invalid value for '--lines'"),
    ],
)
def test_logs_of_nothing(fleet: Run, words: list[str], said: str) -> None:
    code, _, err = fleet("logs", "demo", *words)
    assert code == 2
    assert err.startswith(said)


def test_a_silent_machine_does_not_hide_the_others_logs(fleet: Run, machines: StandIn) -> None:
    machines.dead["node-2"] = Unreachable("node-2", "no answer")
    machines.given["agents-1.service"] = [Answer(0, entry(1, "here"))]
    code, out, err = fleet("logs", "demo")
    assert (code, err) == (1, "host node-2: no answer\n")
    assert "agents-1 here" in out


def test_following_goes_on_where_it_ended_and_tells_a_trouble_once(
    machines: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.day_two.journal.POLL_S", 0)
    torn = entry(3_000_000, "torn")[:20]
    machines.given["gateway.service"] = [
        Answer(0, ""),
        Answer(0, entry(1_000_000, "one", "c1")),
        Answer(124, entry(2_000_000, "two", "c2") + torn),
        Answer(124, ""),
        Answer(0, entry(3_000_000, "three", "c3")),
        Answer(0, ""),
    ]
    journals = Journals(machines, {"gateway": ("node-1", "gateway.service")}, lines=5)  # type: ignore[arg-type]
    assert journals.read().entries == []
    told: list[str] = []
    for news in journals.watch({}):
        told += [*(item.message for item in news.entries), *news.problems.values()]
        if "three" in told:
            break
    late = "that takes longer than 15 s; ask for less by --lines or --since"
    assert told == ["one", "two", f"the journal of gateway was not read to its end: {late}", "three"]
    assert [line.rpartition(" ")[2] for line in machines.ran][:5] == [
        *("--lines=5", "--lines=5", "--after-cursor=c1", "--after-cursor=c2", "--after-cursor=c2")
    ]


def test_a_silent_machine_does_not_hold_up_the_others(
    machines: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.day_two.journal.POLL_S", 0)
    silent = threading.Event()
    answer = machines.ask

    def ask(commands: Mapping[str, Sequence[Sequence[str]]]) -> dict[str, Answers]:
        if "node-2" in commands:
            silent.wait(30)
        return answer(commands)

    monkeypatch.setattr(machines, "ask", ask)
    machines.given["agents-1.service"] = [Answer(0, entry(1, "here"))]
    units = {"agents-0": ("node-2", "agents-0.service"), "agents-1": ("node-3", "agents-1.service")}
    news = next(journals := Journals(machines, units).watch({}))  # type: ignore[arg-type]
    assert [item.service for item in news.entries] == ["agents-1"]
    journals.close()
    silent.set()


def test_the_well_stack_of_these_tests_is_asked_everything() -> None:
    assert all(isinstance(said, tuple) for said in answers(inventory()).values())
