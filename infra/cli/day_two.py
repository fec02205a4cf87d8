"""`fleet status` and `fleet logs`: a stack that runs, looked at.

Imports stand inside the commands, so that each pays for what it needs alone.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.answers import Format, FormatOption, print_json, print_tables
from infra.cli.running import NOT_WELL, StackName, look, running

if TYPE_CHECKING:
    from provisioning.day_two.journal import Entry, News

_FIRST_LINES = 50


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
        units = services_named(inventory, name)
        wanted = lines if lines is not None or since else _FIRST_LINES
        journals = Journals(machines, units, wanted, since)
        news, width = journals.read(), max(map(len, units))
        _print_news(news, width, format_)
        for more in journals.watch(news.problems) if follow else ():
            _print_news(more, width, format_)
    return NOT_WELL if news.problems else 0


def _print_news(news: News, width: int, format_: Format) -> None:
    """Entries, their services in a column of this width, and troubles on stderr."""
    for entry in news.entries:
        print(_line(entry, width) if format_ is Format.TABLE else _json_line(entry))
    sys.stdout.flush()
    for problem in news.problems.values():
        print(problem, file=sys.stderr)


def _line(entry: Entry, width: int) -> str:
    return f"{entry.time} {entry.service:<{width}} {entry.text}"


def _json_line(entry: Entry) -> str:
    import json

    return json.dumps(entry.to_dict())
