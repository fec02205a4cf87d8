"""Records and locks of the lab's folders."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from provisioning.errors import LabError
from provisioning.lab.folders import (
    NodeFolder,
    NodeRecord,
    check_room,
    lab_dir,
    node_folder,
    recorded_nodes,
    recorded_stacks,
    stack_lock,
)
from provisioning.lab.image import image_dir
from provisioning.lab.values import LabNodeState

STATE = LabNodeState("stage1", "node-1", "198.18.7.0/24", "198.18.7.11", binds={"/opt/x": "engines/x"})
RECORD = NodeRecord(STATE, Path("/cache/images/bookworm-1"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTFLEET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AGENTFLEET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "home"


def test_a_record_is_read_as_it_was_written() -> None:
    folder = node_folder("stage1", "node-1")
    assert folder.read_record() is None
    folder.write_record(RECORD)
    assert folder.read_record() == RECORD
    assert recorded_stacks() == ["stage1"]
    assert recorded_nodes("stage1") == ["node-1"]


@pytest.mark.parametrize("text", ["", "{", "{}", '{"state": {}, "image": "/", "removing": false}', "[]"])
def test_a_damaged_record_names_the_way_out(text: str) -> None:
    folder = node_folder("stage1", "node-1")
    folder.path.mkdir(parents=True)
    folder.record.write_text(text)
    with pytest.raises(LabError, match=r"record\.json is not a lab node's record.*sweep stage1"):
        folder.read_record()


def test_an_empty_stack_leaves_no_folder() -> None:
    with stack_lock("stage1"):
        assert recorded_stacks() == ["stage1"]
    assert os.listdir(lab_dir()) == []


def test_a_stack_with_a_node_keeps_its_folder() -> None:
    with stack_lock("stage1"):
        node_folder("stage1", "node-1").write_record(RECORD)
    assert node_folder("stage1", "node-1").read_record() == RECORD


def test_callers_take_turns_even_while_the_folder_comes_and_goes() -> None:
    inside, most, errors = 0, 0, []

    def take_turns() -> None:
        nonlocal inside, most
        try:
            for _ in range(200):
                with stack_lock("stage1"):
                    inside += 1
                    most = max(most, inside)
                    inside -= 1
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=take_turns) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most, errors) == (1, [])


def test_a_lock_is_given_back_when_its_holder_fails() -> None:
    with pytest.raises(ValueError, match="broken"), stack_lock("stage1"):
        raise ValueError("broken")
    with stack_lock("stage1"):
        pass


def test_a_stack_whose_folder_cannot_be_is_a_sentence(home: Path) -> None:
    (home / "lab").mkdir(parents=True)
    (home / "lab" / "stage1").symlink_to("nowhere")
    with pytest.raises(LabError, match="lab/stage1 cannot be made and locked"), stack_lock("stage1"):
        pass


@pytest.mark.parametrize("name", ["a:b", "a,b", "a b"])
def test_a_folder_that_a_mount_cannot_name_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv("AGENTFLEET_HOME", str(tmp_path / name))
    with pytest.raises(LabError, match="set AGENTFLEET_HOME"):
        lab_dir()


def test_a_full_disk_is_told_before_anything_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    check_room()
    monkeypatch.setattr("provisioning.lab.folders.NEEDED_BYTES", 1 << 62)
    with pytest.raises(LabError, match="make room, or set AGENTFLEET_HOME"):
        check_room()


def test_the_last_lines_of_the_console_are_shown(tmp_path: Path) -> None:
    folder = NodeFolder(tmp_path)
    assert folder.log_tail() == ""
    folder.log.write_bytes(b"one\n\ntwo\xff\nthree\n")
    assert folder.log_tail(lines=2) == "\n  two\ufffd\n  three"


def test_a_missing_image_says_who_makes_it() -> None:
    with pytest.raises(LabError, match=r"there is no image for lab nodes .* run `make setup`"):
        image_dir()
    with pytest.raises(LabError, match="no image of trixie"):
        image_dir("trixie")


def test_an_image_is_the_real_folder_behind_the_link(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for name in ("bookworm-1", "trixie-1", "trixie-2"):
        (cache / "images" / name).mkdir(parents=True)
    os.utime(cache / "images" / "trixie-1", ns=(1, 1))
    (cache / "ready").mkdir()
    (cache / "ready" / "base-image").symlink_to(cache / "images" / "bookworm-1")
    assert image_dir() == cache / "images" / "bookworm-1"
    assert image_dir("trixie") == cache / "images" / "trixie-2"
