"""The `fleet` command: what it prints where, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from plan_specs import LAB

from infra.cli import main as cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def fleet(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command; its exit code, stdout and stderr."""

    def run(*words: str) -> tuple[int, str, str]:
        code = cli.run(list(words))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., str]:
    """Writes the lab spec with parts replaced; its path."""

    def write(**parts: object) -> str:
        path = tmp_path / "a.fleet.yaml"
        path.write_text(json.dumps({**LAB, **parts}), encoding="utf-8")
        return str(path)

    return write


def test_plan_prints_tables(fleet: Run, spec: Callable[..., str]) -> None:
    code, out, err = fleet("plan", spec())
    assert (code, err) == (0, "")
    for words in ("small: stage 1, 20 sessions", "Nodes", "Memory of each GPU", "--max-num-seqs", "65536"):
        assert words in out


def test_plan_prints_json_that_a_script_can_read(fleet: Run, spec: Callable[..., str]) -> None:
    code, out, _ = fleet("plan", spec(), "--format", "json")
    assert code == 0
    assert json.loads(out)["replicas"][0]["memory"]["kv_cache_tokens"] == 65_536


def test_render_writes_each_nodes_files_as_they_will_stand(
    fleet: Run, spec: Callable[..., str], tmp_path: Path
) -> None:
    code, out, _ = fleet("render", spec(), "--out", str(tmp_path / "out"))
    assert (code, out) == (0, f"6 files of 1 node in {tmp_path / 'out'}\n")
    secret = tmp_path / "out/node-1/etc/agentfleet/small/agents-0/secret.env"
    assert oct(secret.stat().st_mode)[-3:] == "600"


def test_render_leaves_other_peoples_folders_alone(
    fleet: Run, spec: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/diary.txt").write_text("dear")
    code, _, err = fleet("render", spec(), "--out", str(tmp_path / "mine"))
    assert code == 2
    assert err == f"{tmp_path / 'mine'}: holds files that no render wrote: name another folder, or empty it\n"
    assert (tmp_path / "mine/diary.txt").read_text() == "dear"


def test_check_says_that_a_spec_fits(fleet: Run, spec: Callable[..., str]) -> None:
    path = spec()
    assert fleet("check", path) == (0, f"{path}: 20 sessions on 1 replica fit\n", "")


def test_check_fails_where_sessions_have_no_seat(fleet: Run, spec: Callable[..., str]) -> None:
    code, _, err = fleet(
        "check", spec(pools={"agents": {"model": "agent", "role": "agent", "max_num_seqs": 8, "replicas": 1}})
    )
    assert code == 1
    assert err.startswith("pools.agents.max_num_seqs: 12 of 20 sessions have no seat")


def test_nothing_asked_is_help(fleet: Run) -> None:
    code, out, _ = fleet()
    assert code == 0
    assert {"plan", "render", "check", "schema", "size"} <= set(out.split())


def test_schema_is_json(fleet: Run) -> None:
    code, out, _ = fleet("schema")
    assert code == 0
    assert json.loads(out)["title"] == "agentfleet spec"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["plan", "nowhere.fleet.yaml"], 2, "nowhere.fleet.yaml: there is no such file: check the path\n"),
        (["plan"], 2, "fleet: Missing argument 'SPEC'. (fleet --help)\n"),
        (["plna"], 2, "fleet: No such command 'plna'. Did you mean 'plan'? (fleet --help)\n"),
        (["render", "a"], 2, "fleet: Missing option '--out'. (fleet --help)\n"),
    ],
)  # fmt: skip
def test_a_mistake_on_the_command_line_is_one_sentence(
    fleet: Run, words: list[str], code: int, sentence: str
) -> None:
    assert fleet(*words) == (code, "", sentence)


def test_an_unknown_format_names_the_known_ones(fleet: Run) -> None:
    code, out, err = fleet("plan", "a", "--format", "xml")
    assert (code, out) == (2, "")
    assert "'xml' is not one of 'table', 'json'" in err


def test_all_problems_of_a_spec_are_printed(fleet: Run, spec: Callable[..., str]) -> None:
    code, out, err = fleet("plan", spec(name="Bad Name", queue={"kind": "nats"}))
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 2


def test_a_fleet_that_does_not_fit_is_exit_code_1(fleet: Run, spec: Callable[..., str]) -> None:
    code, out, err = fleet("plan", spec(workload={**LAB["workload"], "workflows": 100}))
    assert (code, out) == (1, "")
    assert err.startswith("pools.agents: 500 sessions need")
    assert len(err.splitlines()) == 1


def test_an_unexpected_failure_is_one_sentence_too(
    fleet: Run, spec: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.delenv("FLEET_DEBUG", raising=False)
    monkeypatch.setattr("infra.plan.make_plan", broken)
    path = spec()
    assert fleet("plan", path) == (
        3,
        "",
        "fleet: unexpected ZeroDivisionError: division by zero; FLEET_DEBUG=1 shows where\n",
    )
    monkeypatch.setenv("FLEET_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        fleet("plan", path)


def test_an_interrupt_ends_without_a_word(
    fleet: Run, spec: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("infra.plan.make_plan", interrupted)
    assert fleet("plan", spec()) == (130, "", "")


def test_size_hands_its_options_on(fleet: Run) -> None:
    words = ("size", "--model", "tiny-llama", "--gpu", "H100-SXM", "--max-model-len=8192", "--enforce-eager")
    code, out, err = fleet(*words, "--tensor-parallel-size", "2", "--format", "json")
    assert (code, err) == (0, "")
    assert json.loads(out)["cuda_graph_bytes_per_gpu"] == 0
    assert fleet("size", "--help")[0] == 0


def test_size_refuses_what_it_does_not_understand(fleet: Run) -> None:
    code, out, err = fleet("size", "--model", "tiny-llama", "--gpu", "H1000", "--max-model-len", "8192")
    assert (code, out) == (2, "")
    assert "H1000" in err
    assert len(err.splitlines()) == 1
