"""`fleet backup|restore` with stand-ins for Pulumi and the machines: of which server, and what is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from day_two_cases import STORE, outputs, stand_in_pulumi

from infra.cli import main as cli
from provisioning.day_two import machines, snapshots, store_servers
from provisioning.day_two.store_servers import Server

THREE = [{**STORE, "name": f"state-{index}", "node": f"node-{index + 1}"} for index in range(3)]
SERVERS = [
    Server(f"node-{index + 1}", "agentfleet-demo-state", "/etc/agentfleet/demo/state") for index in range(3)
]


class _Machines:
    def __init__(self, ways_in: Mapping[str, Any]) -> None:
        assert ways_in

    def __enter__(self) -> _Machines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def connection(self, node: str) -> str:
        return f"shell of {node}"


Fleet = Callable[..., tuple[int, str, str]]


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fleet:
    """Runs the command on a stack with these stores; its exit code, stdout and stderr."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(machines, "Machines", _Machines)

    def run(stores: list[dict[str, str]], *words: str) -> tuple[int, str, str]:
        stand_in_pulumi(tmp_path, outputs(state={"stores": stores} if stores else None), {})
        code = cli.run(list(words))
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "state.rdb").write_text("a snapshot")
    return tmp_path / "state.rdb"


def test_one_server_reads_the_snapshot(fleet: Fleet, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def bring_back(shell: str, command: str, data_folder: str, file: Path, _: object) -> int:
        assert (shell, command) == ("shell of node-1", "/etc/agentfleet/demo/state/restore")
        assert (data_folder, file) == ("/var/lib/agentfleet-demo-state", source)
        return 7

    monkeypatch.setattr(snapshots, "bring_back", bring_back)
    code, out, _ = fleet([STORE], "restore", "demo", str(source))
    before = "what it held before: /var/lib/agentfleet-demo-state/before-restore on node-1"
    assert (code, out) == (0, f"demo holds 7 keys of {source}; {before}\n")


def test_three_servers_are_restored_together(
    fleet: Fleet, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def restore_all(_: object, servers: list[Server], file: Path, *__: object) -> tuple[Server, int]:
        assert (servers, file) == (SERVERS, source)
        return servers[2], 7

    monkeypatch.setattr(store_servers, "restore_all", restore_all)
    code, out, _ = fleet(THREE, "restore", "demo", str(source))
    assert code == 0
    assert out.endswith("before-restore on node-3\n")


@pytest.mark.parametrize(("stores", "asked"), [([STORE], "node-1"), (THREE, "node-2")])
def test_a_backup_is_taken_of_the_server_that_leads(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stores: list[dict[str, str]], asked: str
) -> None:
    def take(shell: str, command: str, *_: object) -> int:
        assert (shell, command) == (f"shell of {asked}", "/etc/agentfleet/demo/state/backup")
        return 2**20

    monkeypatch.setattr(store_servers, "leading_server", lambda _, servers: servers[1])
    monkeypatch.setattr(snapshots, "take", take)
    code, out, _ = fleet(stores, "backup", "demo", str(tmp_path / "new.rdb"))
    assert (code, out) == (0, f"{tmp_path}/new.rdb: the state of demo, 1.00 MiB\n")


def test_a_stack_without_a_store_has_nothing_to_restore(fleet: Fleet, source: Path) -> None:
    code, _, err = fleet([], "restore", "demo", str(source))
    assert (code, err) == (2, "stack demo has no state store\n")
