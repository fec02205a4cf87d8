"""Steps of the set-up: keys, complete or absent, order, and what a failure says."""

import os
import stat
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.setup.cache import KEY_HEX_DIGITS, built_beside, key_of, point, points_to, ready_link
from tools.setup.clean import uses_of
from tools.setup.commands import NETWORK_ADVICE, Commands, as_root
from tools.setup.console import Console
from tools.setup.errors import SetupError
from tools.setup.go_modules import numbers, pinned
from tools.setup.lock import LOCKS, words_for
from tools.setup.release import Release
from tools.setup.step import Places
from tools.setup.steps import PARTS, steps_for
from tools.setup.system import check_disk

REPO = Path(__file__).resolve().parents[2]


def test_a_key_changes_with_words_and_bytes_but_not_with_paths(tmp_path: Path) -> None:
    one, same, other = tmp_path / "one", tmp_path / "same", tmp_path / "other"
    one.write_bytes(b"pin 1")
    same.write_bytes(b"pin 1")
    other.write_bytes(b"pin 2")
    key = key_of(["x86_64"], [one])
    assert len(key) == KEY_HEX_DIGITS
    assert key == key_of(["x86_64"], [same])
    assert len({key, key_of(["x86_64"], [other]), key_of(["aarch64"], [one]), key_of(["x86_64"])}) == 4


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_different_words_have_different_keys_however_they_are_cut(one: list[str], other: list[str]) -> None:
    assert (key_of(one) == key_of(other)) == (one == other)


def test_a_build_that_is_cut_off_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    final = tmp_path / "engines" / "vllm-1"

    def cut_off() -> None:
        with built_beside(final) as partial:
            partial.mkdir()
            (partial / "half").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert not final.exists()

    with built_beside(final) as partial:
        assert not partial.exists(), "what was half done must be gone"
        partial.mkdir()
        (partial / "whole").touch()
    assert [file.name for file in final.parent.rglob("*")] == ["vllm-1", "whole"]


def test_users_find_the_current_build_by_a_link_that_moves(tmp_path: Path) -> None:
    old, new = tmp_path / "images" / "a", tmp_path / "images" / "b"
    old.mkdir(parents=True)
    point(tmp_path, "base-image", old)
    assert points_to(tmp_path, "base-image", old)
    assert not points_to(tmp_path, "base-image", new), "it does not exist"
    new.mkdir()
    point(tmp_path, "base-image", new)
    assert ready_link(tmp_path, "base-image").resolve() == new
    assert not points_to(tmp_path, "base-image", old)


@pytest.mark.parametrize("part", PARTS)
def test_every_part_starts_with_the_system_and_uv_and_has_reasons(part: str, tmp_path: Path) -> None:
    steps = steps_for(part, Places(REPO, tmp_path), Release("debian", "bookworm", "12"))
    names = [step.name for step in steps]
    assert names[:2] == ["system packages", "uv"]
    assert len(set(names)) == len(names)
    assert all(step.why and step.needs_bytes > 0 for step in steps)
    everything = ["Python environment", "Pulumi CLI", "lab base image", "CPU engine", "tiny model"]
    if part in ("all", "test"):
        assert names[2:] == everything + ["LiteLLM's environment", "examples' environment"] * (part == "test")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v3.259.0", (3, 259, 0)),
        ("go1.26.8", (1, 26, 8)),
        ("go1.27", (1, 27, 0)),
        ("warning: using an old one\nv3.260.1-alpha", (3, 260, 1)),
        ("nothing", ()),
    ],
)
def test_versions_compare_as_numbers(text: str, expected: tuple[int, ...]) -> None:
    assert numbers(text) == expected


def test_versions_order_by_number_and_none_is_least() -> None:
    assert numbers("none") < numbers("3.9") < numbers("3.10") < numbers("3.10.1")


def test_the_committed_modules_pin_the_cli_and_its_language_host() -> None:
    cli = REPO / "tools" / "pulumi" / "cli" / "go.mod"
    assert numbers(pinned(cli, "github.com/pulumi/pulumi/pkg/v3")) == numbers(
        pinned(cli, "github.com/pulumi/pulumi/sdk/v3")
    )
    with pytest.raises(SetupError, match=r"does not pin example\.org/none"):
        pinned(cli, "example.org/none")


def test_every_lock_is_written_with_hashes_from_a_committed_source() -> None:
    for lock in LOCKS:
        words = words_for(Path("uv"), lock, upgrade=False)
        assert "--generate-hashes" in words
        assert "--upgrade" not in words
        assert (REPO / lock.source).is_file()
        assert "--hash=sha256:" in (REPO / lock.file).read_text()
    assert "--upgrade" in words_for(Path("uv"), LOCKS[0], upgrade=True)


@pytest.fixture
def commands(tmp_path: Path) -> Commands:
    commands = Commands(Console(), tmp_path / "logs", held=os.open(tmp_path, os.O_RDONLY))
    commands.log_to("a step")
    return commands


def _python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_command_gives_its_output_and_keeps_it_in_the_log(commands: Commands, tmp_path: Path) -> None:
    code = "import os, sys; print(os.environ['WORD']); print('two', file=sys.stderr)"
    assert sorted(commands.run(_python(code), env={"WORD": "one"}).splitlines()) == ["one", "two"]
    log = (tmp_path / "logs" / "a step.log").read_text()
    assert log.startswith("$ ")
    assert "one\n" in log


def test_a_failure_names_the_command_its_exit_code_its_last_lines_and_what_to_do(commands: Commands) -> None:
    with pytest.raises(SetupError) as failed:
        commands.run(_python("print('all is lost'); raise SystemExit(7)"), advice="find it again")
    assert "failed with exit code 7" in failed.value.sentence
    assert failed.value.evidence == ("all is lost",)
    assert str(failed.value).endswith("What to do: find it again")


def test_a_server_that_cannot_be_reached_is_recognised(commands: Commands) -> None:
    with pytest.raises(SetupError) as failed:
        commands.run(_python("raise SystemExit('error: dns error: no such host')"), advice="something else")
    assert failed.value.advice == NETWORK_ADVICE


def test_a_program_that_does_not_exist_is_a_sentence(commands: Commands) -> None:
    with pytest.raises(SetupError, match="`no-such-program` could not be started: No such file or directory"):
        commands.run(["no-such-program"])


def test_variables_survive_the_change_to_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/sudo")
    assert as_root(["apt-get", "update"], {"A": "1"}) == ["sudo", "--", "env", "A=1", "apt-get", "update"]
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(SetupError, match="not root and there is no sudo"):
        as_root(["true"], {})


def test_a_full_disk_is_noticed_before_anything_starts(tmp_path: Path) -> None:
    check_disk(tmp_path / "not" / "made" / "yet", 1)
    with pytest.raises(SetupError, match=r"needs 1048576\.0 GiB of free disk, and there are \d+\.\d GiB"):
        check_disk(tmp_path / "cache", 1 << 50)


def test_the_cache_is_in_use_while_a_process_has_it_mounted_or_runs_from_it(tmp_path: Path) -> None:
    cache, processes = Path("/var/cache/agentfleet"), tmp_path
    engine = "36 25 8:1 /var/cache/agentfleet/engines/vllm /lab/node-1/engine ro - ext4 /dev/sda rw\n"
    overlay = (
        "37 25 0:41 / /lab/node-1/root rw - overlay overlay rw,lowerdir=/var/cache/agentfleet/images/a\n"
    )
    for pid, mounts, program in [
        (11, engine + overlay, "/usr/bin/python3"),
        (12, engine, "/var/cache/agentfleet/pulumi/bin/pulumi"),
        (13, "30 1 8:1 / / rw - ext4 /dev/sda rw\n", "/usr/bin/bash"),
    ]:
        (processes / str(pid)).mkdir()
        (processes / str(pid) / "mountinfo").write_text(mounts)
        (processes / str(pid) / "exe").symlink_to(program)
    (processes / "14").mkdir()
    assert uses_of(cache, processes) == [
        "something of it is mounted at /lab/node-1/engine",
        "something of it is mounted at /lab/node-1/root",
        "process 12 runs pulumi from it",
    ]


def test_the_tools_that_people_type_are_executable() -> None:
    for tool in ("tools/run", ".ci/run"):
        assert (REPO / tool).stat().st_mode & stat.S_IXUSR, tool
