"""Every file of every example spec, byte for byte. `pytest tests/golden --update-golden` rewrites what is expected.

A file that stands on a node as it stands under templates/ is no second time here: copies.txt says which one it is.
"""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import pytest

from support.rendered import SPECS, name_of, rendered
from support.traces import ROOT

HERE = Path(__file__).parent
COPIES = "copies.txt"


@pytest.mark.parametrize("spec", SPECS, ids=name_of)
def test_what_is_rendered_is_what_was_reviewed(spec: Path, request: pytest.FixtureRequest) -> None:
    folder, texts = HERE / name_of(spec), _reviewed(rendered(spec))
    if request.config.getoption("--update-golden"):
        _write(folder, texts)
    expected = {
        str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()
    }
    assert sorted(texts) == sorted(expected)
    for path, text in texts.items():
        assert text == expected[path], (
            f"{path} changed; if that is meant: pytest tests/golden --update-golden"
        )


def test_no_golden_folder_outlives_its_spec() -> None:
    folders = {path.name for path in HERE.iterdir() if path.is_dir()} - {"specs", "__pycache__"}
    assert folders == {name_of(spec) for spec in SPECS}


def test_rendering_twice_gives_the_same() -> None:
    assert all(rendered(spec) == rendered(spec) for spec in SPECS)


def _reviewed(texts: dict[str, str]) -> dict[str, str]:
    """What is rendered, with copies of a template as lines of one file."""
    copied = {path: _templates()[text] for path, text in texts.items() if text in _templates()}
    own = {path: text for path, text in texts.items() if path not in copied}
    listed = "".join(f"{path} = {template}\n" for path, template in sorted(copied.items()))
    return {**own, COPIES: listed} if listed else own


@cache
def _templates() -> dict[str, str]:
    """Each file under templates/ by its text."""
    files = (path for path in (ROOT / "templates").rglob("*") if path.is_file())
    return {
        path.read_text(): str(path.relative_to(ROOT)) for path in files if path.suffix not in {".j2", ".pyc"}
    }


def _write(folder: Path, texts: dict[str, str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
