"""Output of `fleet` as the pages show it: whole, or the tables that a comment above the block names.

    <!-- shown: Cost, Pools -->
    ```console
    $ fleet plan docs/specs/stage-1.fleet.yaml
    (the first line, then these tables)
    ```

Without names the block is the whole output. It is what the command prints in a terminal of 110 columns.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.cli import main as cli
from support.traces import ROOT

COLUMNS = 110
_BLOCK = re.compile(r"<!-- shown(?:: (?P<tables>.+?))? -->\n```console\n(?P<text>.*?)```\n", re.DOTALL)
_COMMAND = re.compile(r"^\$ (fleet (?:.*\\\n)*.*)\n", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of a page: the commands that it shows, the tables of each, and its text as it stands there."""

    page: Path
    commands: tuple[str, ...]
    tables: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}: {self.commands[0]}"


def blocks(page: Path) -> Iterator[Block]:
    """Every block of the page that says that it is output."""
    for found in _BLOCK.finditer(page.read_text(encoding="utf-8")):
        tables = tuple(filter(None, (found["tables"] or "").split(", ")))
        yield Block(page, tuple(_COMMAND.findall(found["text"])), tables, found["text"])


def current(block: Block, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The block as it should stand: what its commands print now."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("infra.cli.answers._PIPE_WIDTH", COLUMNS)
    shown = [
        f"$ {command}\n{_selected(_printed(command, capsys), block.tables)}" for command in block.commands
    ]
    return ("\n" if block.tables else "").join(shown)


def _printed(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Stdout and stderr; a pipe into `head` is followed."""
    words, _, lines = command.replace("\\\n", " ").partition(" | head -")
    cli.run(shlex.split(words)[1:])
    captured = capsys.readouterr()
    output = [line.rstrip() for line in (captured.out + captured.err).splitlines()]
    return "\n".join(output[: int(lines)] if lines else output) + "\n"


def _selected(output: str, tables: tuple[str, ...]) -> str:
    if not tables:
        return output
    first, *rest = output.rstrip("\n").split("\n\n")
    kept = [part for part in rest if part.split("\n")[0] in tables]
    return "\n\n".join([first, *kept]) + "\n"
