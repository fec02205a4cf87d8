"""`fleet status` and `fleet logs`: a stack that runs, looked at.

Imports stand inside the commands, so that each pays for what it needs alone.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.answers import Format, FormatOption, print_json, print_tables
from infra.cli.running import NOT_WELL, StackName, look, running

if TYPE_CHECKING:
    from provisioning.day_two.journal import Entry, Journals

_FIRST_LINES = 50
_FOLLOW_S = 1.0


def status(stack: StackName, format_: FormatOption = Format.TABLE) -> int:
    """Say whether every replica, gateway and store runs, answers and gets requests; exit code 1 if one does not."""
    with running(stack) as (inventory, machines):
        seen = look(inventory, machines)
    if format_ is Format.JSON:
        print_json(seen.to_dict())
    else:
        from infra.cli.day_two_tables import status_tables

        print_tables(status_tables(seen))
    return 0 if seen.well else NOT_WELL


def logs(  # noqa: PLR0913, PLR0917  a command's options are its parameters
    stack: StackName,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[SERVICE|NODE]", help="Such as agents-0, gateway or node-2; all without it."),
    ] = None,
    lines: Annotated[
        int | None,
        typer.Option(min=0, help=f"The newest lines of each service; {_FIRST_LINES} without --since."),
    ] = None,
    since: Annotated[
        str, typer.Option(metavar="PERIOD", help="Only what is not older, such as 90s, 10m, 2h or 1d.")
    ] = "",
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    format_: Annotated[
        Format, typer.Option("--format", help="Lines to read or a JSON object a line to script against.")
    ] = Format.TABLE,
) -> int:
    """Print what services wrote to the journals of their machines, merged by time."""
    from infra.day_two.pick import services_named
    from provisioning.day_two.journal import Journals, is_period

    if since and not is_period(since):
        raise typer.BadParameter(f"--since {since}: give a period such as 90s, 10m, 2h or 1d")
    with running(stack) as (inventory, machines):
        wanted = lines if lines is not None or since else _FIRST_LINES
        journals = Journals(machines, services_named(inventory, name), wanted, since)
        failed = _print_new(journals, format_)
        while follow:
            time.sleep(_FOLLOW_S)
            failed = _print_new(journals, format_, failed)
    return NOT_WELL if failed else 0


def _print_new(journals: Journals, format_: Format, told: dict[str, str] | None = None) -> dict[str, str]:
    """Print what is new, and on stderr the troubles that were not `told` yet; returns those that there are now."""
    entries, problems = journals.read()
    width = max(map(len, journals.units), default=0)
    for entry in entries:
        print(_line(entry, width) if format_ is Format.TABLE else _json_line(entry))
    sys.stdout.flush()
    for name, problem in problems.items():
        if not told or name not in told:
            print(problem, file=sys.stderr)
    return problems


def _line(entry: Entry, width: int) -> str:
    return f"{entry.time} {entry.service:<{width}} {entry.text}"


def _json_line(entry: Entry) -> str:
    import json

    return json.dumps(entry.to_dict())
