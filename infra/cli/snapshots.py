"""`fleet backup` and `fleet restore`: the state of agents as one file, out of a stack that runs and back into one.

Imports stand inside the commands, so that each pays for what it needs alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.running import StackName, running
from infra.errors import Refused, UnknownName

if TYPE_CHECKING:
    from infra.day_two.inventory import Inventory, StateStore


def backup(
    stack: StackName, to: Annotated[Path, typer.Argument(metavar="FILE", help="Where the snapshot goes.")]
) -> None:
    """Take a snapshot of the state store while it runs, and bring it here as FILE, for this user alone."""
    from infra.plan.text import size_text
    from provisioning.day_two.snapshots import take

    if to.exists():
        raise typer.BadParameter(f"{to} exists already: name another file")
    if not to.absolute().parent.is_dir():
        raise typer.BadParameter(f"{to.absolute().parent} is no folder: make it first")
    with running(stack) as (inventory, machines):
        store = _store(inventory)
        size = take(machines.connection(store.node), _command(store, "backup"), to, _progress())
    print(f"{to}: the state of {stack}, {size_text(size)}")


def restore(
    stack: StackName, source: Annotated[Path, typer.Argument(metavar="FILE", help="What a backup brought.")]
) -> None:
    """Put the snapshot FILE in the place of all that the state store holds, which stops for that moment."""
    from provisioning.day_two.snapshots import bring_back

    if not source.is_file():
        raise typer.BadParameter(f"{source} is no file")
    with running(stack) as (inventory, machines):
        store = _store(inventory)
        if len(inventory.stores) > 1:
            raise Refused(
                f"{stack} has {len(inventory.stores)} servers, which would follow each other and not the snapshot: "
                "restore into a store of one server (ha: none)"
            )
        shell, data_folder = machines.connection(store.node), f"/var/lib/{store.unit}"
        keys = bring_back(shell, _command(store, "restore"), data_folder, source, _progress())
    print(
        f"{stack} holds {keys} keys of {source}; what it held before: {data_folder}/before-restore on {store.node}"
    )


def _store(inventory: Inventory) -> StateStore:
    if not inventory.stores:
        raise UnknownName(f"stack {inventory.stack} has no state store")
    return inventory.stores[0]


def _command(store: StateStore, name: str) -> str:
    return str(PurePosixPath(store.cli).with_name(name))


def _progress() -> Callable[[int, int], None]:
    """A line that counts on, where somebody looks."""
    shown = sys.stderr.isatty()

    def tell(done: int, size: int) -> None:
        if shown:
            print(f"\r{100 * done // size} %", end="\n" if done == size else "", file=sys.stderr, flush=True)

    return tell
