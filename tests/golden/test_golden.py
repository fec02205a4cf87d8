"""Every file of every example spec, byte for byte. `pytest tests/golden --update-golden` rewrites what is expected."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from support.rendered import SPECS, name_of, rendered

HERE = Path(__file__).parent


@pytest.mark.parametrize("spec", SPECS, ids=name_of)
def test_what_is_rendered_is_what_was_reviewed(spec: Path, request: pytest.FixtureRequest) -> None:
    folder, texts = HERE / name_of(spec), rendered(spec)
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


def _write(folder: Path, texts: dict[str, str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
