"""The commands of `fleet` but for `size`: those that read a spec, decide and print, and the verbs of day two.

Imports stand inside the commands, so that each pays for what it needs alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infra.cli.answers import Format, FormatOption, SpecPath, planned, print_json, print_tables
from infra.cli.cost import cost
from infra.cli.day_two import logs, status
from infra.cli.drain import drain, undrain
from infra.cli.snapshots import backup, restore
from infra.errors import PlanError

app = typer.Typer(
    help="Plan, render and check a fleet of LLM agents by its spec; look at a stack that runs, and drain its nodes.",
    add_completion=False,
    rich_markup_mode=None,
)


@app.command()
def plan(spec: SpecPath, format_: FormatOption = Format.TABLE) -> None:
    """Print every decision: nodes, GPUs, replicas, memory, flags with a reason each, and what an hour costs."""
    decided = planned(spec)
    if format_ is Format.JSON:
        print_json(decided.to_dict())
        return
    from infra.cli.tables import plan_tables

    print_tables(plan_tables(decided))


app.command()(cost)
for verb in (status, logs, drain, undrain, backup, restore):
    app.command()(verb)


@app.command()
def advise(
    spec: SpecPath,
    offer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OFFER",
            help="Nodes that can be rented, as [SELLER=]GPUSxDEVICE[@DOLLARS per GPU and hour][:NODES], such as "
            "8xH100-SXM@2.40:4; again for more. Without it: every device that the catalog has a price of.",
        ),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[POOL=]DEVICE", help="Only this device, for one pool or all; says what that costs."
        ),
    ] = None,
    spot: Annotated[
        bool, typer.Option("--spot", help="Take nodes at spot prices too, which can be taken back.")
    ] = False,
    format_: FormatOption = Format.TABLE,
) -> None:
    """Print which machines to rent for a spec, whatever its nodes are: the cheapest that fit, and why not others."""
    from infra.advice.command import advise_spec
    from infra.plan.demand import sessions_of
    from infra.plan.read_models import read_models
    from infra.spec import load

    asked = load(spec)
    models = read_models(asked, spec.parent)
    advice = advise_spec(asked, models, offers=offer or (), devices=device or (), spot=spot)
    if format_ is Format.JSON:
        print_json(advice.to_dict())
        return
    from infra.advice.tables import advice_tables
    from infra.plan.text import count_text

    sessions = count_text(sessions_of(asked.workload), "session")
    print_tables(advice_tables(f"{asked.name}: {sessions}", advice, with_offers=bool(offer)))


@app.command()
def render(
    spec: SpecPath,
    out: Annotated[
        Path, typer.Option("--out", help="A folder that is new, empty, or from an earlier render.")
    ],
) -> None:
    """Write what would stand on each node, byte for byte, as OUT/<node>/<absolute path>."""
    from infra.cli.tree import write_tree
    from infra.plan.text import count_text
    from infra.render import render as render_services

    services = render_services(planned(spec))
    files = {
        f"{node}{path}": (file.text, file.mode)
        for node, states in services.items()
        for state in states.values()
        for path, file in state.files.items()
    }
    write_tree(out, files)
    print(f"{count_text(len(files), 'file')} of {count_text(len(services), 'node')} in {out}")


@app.command()
def check(spec: SpecPath) -> None:
    """Say whether a spec is sound, seats all its sessions and renders."""
    from infra.plan.text import count_text
    from infra.render import render as render_services

    decided = planned(spec)
    render_services(decided)
    for note in decided.notes:
        if note.severity == "warning":
            print(f"warning: {note.path}: {note.text}")
    if shortfalls := [f"{note.path}: {note.text}" for note in decided.notes if note.severity == "shortfall"]:
        raise PlanError("\n".join(shortfalls))
    sessions = count_text(decided.sessions, "session")
    print(f"{spec}: {sessions} on {count_text(len(decided.replicas), 'replica')} fit")


@app.command()
def schema() -> None:
    """Print the JSON Schema of a spec, for editors."""
    from infra.spec import schema_text

    print(schema_text(), end="")


@app.command()
def size() -> None:
    """Size one replica without a spec; `fleet size --help` names its options, which are vLLM's own."""
    raise NotImplementedError("infra/cli/main.py hands `fleet size` to infra/cli/size.py")
