"""What the commands of `fleet` share: the spec that they are given, and their answer as tables or as JSON."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from infra.plan import FleetPlan

_PIPE_WIDTH = 160
"""Columns of the tables where nobody tells how wide the terminal is, as in a pipe or a log."""


class Format(StrEnum):
    """How a command prints its answer."""

    TABLE = "table"
    JSON = "json"


SpecPath = Annotated[
    Path, typer.Argument(metavar="SPEC", help="The fleet's spec, such as stacks/stage1.fleet.yaml.")
]
FormatOption = Annotated[Format, typer.Option("--format", help="Tables to read or JSON to script against.")]


def planned(path: Path) -> FleetPlan:
    """The plan of the spec in this file."""
    from infra.plan import make_plan
    from infra.plan.read_models import read_models
    from infra.spec import load

    spec = load(path)
    return make_plan(spec, read_models(spec, path.parent))


def print_json(answer: dict[str, Any]) -> None:
    """The answer for scripts."""
    print(json.dumps(answer, indent=2))


def print_tables(tables: RenderableType) -> None:
    """The answer for people, as wide as their terminal."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(tables)
