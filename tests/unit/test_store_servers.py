"""A restore into three servers, against machines that answer from a table: in which order, and what after a failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from provisioning.day_two import store_servers
from provisioning.day_two.answers import Answer, Answers
from provisioning.day_two.machines import Machines
from provisioning.day_two.store_servers import (
    Look,
    Server,
    leading_server,
    parse_look,
    primary_of,
    restore_all,
)
from provisioning.errors import CommandError, LinkBroken, ProvisioningError, Unreachable
from provisioning.ssh.session import Result

NODES = ("node-1", "node-2", "node-3")
SERVERS = [Server(node, "agentfleet-demo-state", "/etc/agentfleet/demo/state") for node in NODES]
A, B, C = "192.0.2.1", "192.0.2.2", "192.0.2.3"
LEADS, FOLLOWS, ALSO = f"{A} master {A} up 2", f"{B} slave {A} up 0", f"{C} slave {A} up 0"
SILENT = "{} silent - - 0"


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        pytest.param((LEADS, FOLLOWS, ALSO), "node-1", id="as it should be"),
        pytest.param((f"{A} slave {C} up 0", f"{B} slave {C} up 0", f"{C} master {C} up 2"), "node-3"),
        pytest.param((SILENT.format(A), FOLLOWS, ALSO), "node-1", id="down, and nobody has replaced it"),
        pytest.param((LEADS, f"{B} master {B} up 0", ALSO), "node-1", id="one that was replaced still leads"),
        pytest.param((f"{A} master {A} up 0", SILENT.format(B), SILENT.format(C)), "node-1", id="alone"),
        pytest.param((SILENT.format(A), SILENT.format(B), SILENT.format(C)), None, id="all down"),
        pytest.param((SILENT.format(A), FOLLOWS, f"{C} slave {B} down 0"), None, id="no two agree"),
        pytest.param((f"{A} master {A} up 1", f"{B} master {B} up 1", ALSO), None, id="two lead"),
    ],
)
def test_who_leads(looks: tuple[str, ...], expected: str | None) -> None:
    read = {node: parse_look(text) for node, text in zip(NODES, looks, strict=True)}
    if expected:
        assert primary_of(read) == expected
        return
    with pytest.raises(ProvisioningError, match=r"the servers do not agree who leads .*node-1: .*run again"):
        primary_of(read)


def test_a_look_is_five_words() -> None:
    assert parse_look(f"{LEADS}\n") == Look(A, "master", A, "up", 2)
    with pytest.raises(ValueError, match="not enough values"):
        parse_look("sh: not found")


@dataclass
class StandIn:
    """Machines that write down what is done; `looks` are answered in their order, the last ones for ever."""

    looks: dict[str, list[str]] = field(
        default_factory=lambda: {"node-1": [LEADS], "node-2": [FOLLOWS], "node-3": [ALSO]}
    )
    dead: Mapping[str, ProvisioningError] = field(default_factory=dict)
    fails: Mapping[str, ProvisioningError] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    watching: set[str] = field(default_factory=lambda: {*NODES})

    def ask(self, commands: Mapping[str, Sequence[Sequence[str]]]) -> dict[str, Answers]:
        return {
            node: self.dead.get(node) or (self._answer(node, asked[0]),) for node, asked in commands.items()
        }

    def _answer(self, node: str, argv: Sequence[str]) -> Answer:
        if argv[0] == "systemctl":
            return Answer(0 if node in self.watching else 3, "")
        said = self.looks[node]
        return Answer(0, said.pop(0) if len(said) > 1 else said[0])

    def connection(self, node: str) -> Any:
        return _Shell(self, node)


@dataclass
class _Shell:
    machines: StandIn
    node: str

    def script(self, text: str, *_words: str, **_: Any) -> Result:
        measured = "1 6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b"  # of the text "1"
        return Result(0, measured if "measuring" in text else "", "")

    def run(self, argv: Sequence[str], **_: Any) -> Result:
        if argv[0] in {"sh", "rm"}:
            return Result(0, "", "")
        verb = "load" if argv[0].endswith("/restore") else argv[1]
        self.machines.done.append(f"{verb} {self.node}")
        if error := self.machines.fails.get(verb):
            raise error
        change = {"stop": self.machines.watching.discard, "start": self.machines.watching.add}
        change.get(verb, lambda _: None)(self.node)
        return Result(0, "7\n", "")


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(store_servers, "POLL_S", 0)
    (tmp_path / "state.rdb").write_text("1")
    return tmp_path / "state.rdb"


def restored(machines: StandIn, source: Path) -> tuple[str, int, list[str]]:
    said: list[str] = []
    known = cast("Machines", machines)
    server, keys = restore_all(known, SERVERS, source, lambda *_: None, said.append)
    return server.node, keys, said


ALONE = f"{A} master {A} up 0"


def test_sentinels_are_stopped_until_all_have_copied_it(source: Path) -> None:
    machines = StandIn()
    machines.looks["node-1"] = [LEADS, ALONE, f"{A} master {A} up 1", LEADS]
    assert restored(machines, source) == (
        "node-1",
        7,
        ["node-1: 0 of 2 servers have copied it", "node-1: 1 of 2 servers have copied it"],
    )
    assert sorted(machines.done[:3]) == [f"stop {node}" for node in NODES]
    assert machines.done[3] == "load node-1"
    assert sorted(machines.done[4:]) == [f"start {node}" for node in NODES]


def test_all_machines_out_of_reach_are_named_and_nothing_is_touched(source: Path) -> None:
    gone = {node: Unreachable(node, "no answer") for node in ("node-1", "node-3")}
    machines = StandIn(dead=gone)
    with pytest.raises(ProvisioningError) as raised:
        restored(machines, source)
    assert str(raised.value) == (
        "host node-1: no answer\nhost node-3: no answer\n"
        "nothing was touched: a server that misses a restore would go on with what it holds"
    )
    assert machines.done == []


def test_a_load_that_fails_leaves_sentinels_that_watch_what_was_there(source: Path) -> None:
    machines = StandIn(fails={"load": CommandError("node-1", ("restore",), 1, "no whole snapshot")})
    with pytest.raises(CommandError, match=r"no whole snapshot$"):
        restored(machines, source)
    assert machines.watching == {*NODES}


@pytest.mark.parametrize("when", ["load", "stop", "start"])
def test_an_end_that_nobody_saw_says_what_to_do(source: Path, when: str) -> None:
    machines = StandIn(fails={when: LinkBroken("node-1", ("x",))}, watching={"node-2"})
    advice = r"(?s)outcome is unknown.*Sentinels may be stopped.*run the restore again.*systemctl start .*-sentinel"
    with pytest.raises(ProvisioningError, match=advice):
        restored(machines, source)
    if when == "load":
        assert "start node-1" not in machines.done


def test_a_backup_is_taken_of_the_one_that_leads_though_a_machine_is_silent() -> None:
    machines = StandIn(dead={"node-1": Unreachable("node-1", "no answer")})
    machines.looks |= {"node-2": [f"{B} slave {C} up 0"], "node-3": [f"{C} master {C} up 1"]}
    assert leading_server(cast("Machines", machines), SERVERS).node == "node-3"
