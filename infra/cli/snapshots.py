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
from infra.errors import UnknownName

if TYPE_CHECKING:
    from infra.day_two.inventory import Inventory
    from provisioning.day_two.store_servers import Server


def backup(
    stack: StackName, to: Annotated[Path, typer.Argument(metavar="FILE", help="Where the snapshot goes.")]
) -> None:
    """Take a snapshot of the state store while it runs, and bring it here as FILE, for this user alone."""
    from infra.plan.text import size_text
    from provisioning.day_two.snapshots import take
    from provisioning.day_two.store_servers import leading_server

    if to.exists():
        raise typer.BadParameter(f"{to} exists already: name another file")
    if not to.absolute().parent.is_dir():
        raise typer.BadParameter(f"{to.absolute().parent} is no folder: make it first")
    with running(stack) as (inventory, machines):
        servers = _servers(inventory)
        server = leading_server(machines, servers) if len(servers) > 1 else servers[0]
        size = take(machines.connection(server.node), f"{server.folder}/backup", to, _progress())
    print(f"{to}: the state of {stack}, {size_text(size)}")


def restore(
    stack: StackName, source: Annotated[Path, typer.Argument(metavar="FILE", help="What a backup brought.")]
) -> None:
    """Put the snapshot FILE in the place of all that the state store holds, which stops for that moment.

    Of several servers the primary reads it, and the others copy it from there.
    """
    from provisioning.day_two.snapshots import bring_back
    from provisioning.day_two.store_servers import restore_all

    if not source.is_file():
        raise typer.BadParameter(f"{source} is no file")
    with running(stack) as (inventory, machines):
        servers = _servers(inventory)
        if len(servers) > 1:
            server, keys = restore_all(machines, servers, source, _progress(), _tell)
        else:
            [server] = servers
            command = f"{server.folder}/restore"
            shell = machines.connection(server.node)
            keys = bring_back(shell, command, server.data_folder, source, _progress())
    before = f"{server.data_folder}/before-restore on {server.node}"
    print(f"{stack} holds {keys} keys of {source}; what it held before: {before}")


def _servers(inventory: Inventory) -> list[Server]:
    from provisioning.day_two.store_servers import Server

    if not inventory.stores:
        raise UnknownName(f"stack {inventory.stack} has no state store")
    return [Server(item.node, item.unit, str(PurePosixPath(item.cli).parent)) for item in inventory.stores]


def _tell(text: str) -> None:
    """A line that changes, where somebody looks."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _progress() -> Callable[[int, int], None]:
    """A line that counts on, where somebody looks."""
    shown = sys.stderr.isatty()

    def tell(done: int, size: int) -> None:
        if shown:
            print(f"\r{100 * done // size} %", end="\n" if done == size else "", file=sys.stderr, flush=True)

    return tell
