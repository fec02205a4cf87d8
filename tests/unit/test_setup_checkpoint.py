"""A state that was cut off while it was written is replaced by the one before it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.stack.checkpoint import mend_checkpoint
from tools.stack.errors import StackError

BEFORE = '{"version": 3, "checkpoint": {}}'


def state_file(backend: Path, text: str | None, before: str | None = BEFORE) -> Path:
    file = backend / ".pulumi" / "stacks" / "agentfleet" / "s.json"
    file.parent.mkdir(parents=True)
    if text is not None:
        file.write_text(text)
    if before is not None:
        file.with_name("s.json.bak").write_text(before)
    return file


@pytest.mark.parametrize("torn", ["", '{"version": 3, "checkpo', "[]", "null"])
def test_a_torn_state_is_replaced_by_the_one_before_it(tmp_path: Path, torn: str) -> None:
    file, said = state_file(tmp_path, torn), list[str]()
    assert mend_checkpoint(f"file://{tmp_path}", "s", said.append)
    assert file.read_text() == BEFORE
    assert said == ["a run that was killed had left the state of s torn: went back to the one before it"]


@pytest.mark.parametrize("text", ['{"version": 3}', None])
def test_a_whole_state_or_none_is_left_alone(tmp_path: Path, text: str | None) -> None:
    file = state_file(tmp_path, text)
    assert not mend_checkpoint(f"file://{tmp_path}", "s", lambda _: None)
    assert (file.read_text() if file.exists() else None) == text


@pytest.mark.parametrize("url", ["s3://bucket", "https://api.example.org", ""])
def test_other_backends_look_after_themselves(url: str) -> None:
    assert not mend_checkpoint(url, "s", lambda _: None)


@pytest.mark.parametrize("before", ["", None])
def test_without_a_whole_state_the_way_out_is_said(tmp_path: Path, before: str | None) -> None:
    state_file(tmp_path, "", before)
    with pytest.raises(StackError, match="make up STACK=s"):
        mend_checkpoint(f"file://{tmp_path}", "s", lambda _: None)


def test_torn_attributes_are_dropped_and_whole_ones_kept(tmp_path: Path) -> None:
    file = state_file(tmp_path, BEFORE)
    torn, whole = file.with_name("s.json.attrs"), file.with_name("s.json.bak.attrs")
    torn.touch()
    whole.write_text("{}")
    assert not mend_checkpoint(f"file://{tmp_path}", "s", lambda _: None)
    assert (torn.exists(), whole.exists()) == (False, True)
