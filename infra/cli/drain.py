"""`fleet drain` and `fleet undrain`: a node's replicas leave their gateway's ring for an operator's work, and return.

Imports stand inside the commands, so that each pays for what it needs alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.answers import Format, FormatOption, print_json
from infra.cli.running import NOT_WELL, StackName, look, running

if TYPE_CHECKING:
    from infra.day_two.inventory import Inventory

NodeName = Annotated[str, typer.Argument(metavar="NODE", help="A node of the stack, such as node-2.")]


def drain(
    stack: StackName,
    node: NodeName,
    timeout: Annotated[
        int | None,
        typer.Option(
            metavar="SECONDS", min=0, help="For requests in flight; default: gateway.drain_timeout_s."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Also when nobody else serves a pool.")] = False,
    format_: FormatOption = Format.TABLE,
) -> int:
    """Send requests of a node's replicas elsewhere and wait until they have none; exit code 1 if they still have."""
    from infra.day_two.pick import draining, refuse_to_empty, refuse_unknown
    from provisioning.day_two.rotate import OperatorRing

    with running(stack) as (inventory, machines):
        gateway, replicas = draining(inventory, node)
        ring = OperatorRing(machines, gateway.node, gateway.rotate)
        pools = ring.pools()
        refuse_unknown(stack, pools, replicas)
        if not force:
            refuse_to_empty(stack, pools, replicas)
        names = [replica.name for replica in replicas]
        for name in names:
            ring.take_out(name)
        busy = ring.drain(names, gateway.drain_timeout_s if timeout is None else timeout, _progress())
    rows = [{"name": name, "ring": "out", "in_flight": busy.get(name, 0)} for name in names]
    answer = {"stack": stack, "node": node, "drained": not busy, "replicas": rows}
    _tell(answer, format_, _after_drain(inventory, node, names, busy))
    return NOT_WELL if busy else 0


def undrain(
    stack: StackName,
    node: NodeName,
    force: Annotated[bool, typer.Option("--force", help="Also replicas that do not answer.")] = False,
    format_: FormatOption = Format.TABLE,
) -> int:
    """Let a node's replicas have requests again, once they answer."""
    from infra.day_two.pick import draining, refuse_unknown, refuse_unready
    from provisioning.day_two.rotate import OperatorRing

    with running(stack) as (inventory, machines):
        gateway, replicas = draining(inventory, node)
        names = [replica.name for replica in replicas]
        ring = OperatorRing(machines, gateway.node, gateway.rotate)
        refuse_unknown(stack, ring.pools(), replicas)
        if not force:
            seen = look(inventory, machines)
            refuse_unready(stack, [row for row in seen.replicas if row.name in names])
        for replica in replicas:
            ring.take_in(replica.name, replica.address)
    answer = {"stack": stack, "node": node, "replicas": [{"name": name, "ring": "in"} for name in names]}
    _tell(answer, format_, [f"{node} is back: {', '.join(names)} in the ring"])
    return 0


def _progress() -> Callable[[str], None]:
    """On a terminal one line that changes; elsewhere a line when the requests in flight have changed."""
    last = ""

    def show(text: str) -> None:
        nonlocal last
        if sys.stderr.isatty():
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        elif (busy := text.partition(";")[0]) != last:
            last = busy
            print(text, file=sys.stderr, flush=True)

    return show


def _after_drain(inventory: Inventory, node: str, names: Sequence[str], busy: dict[str, int]) -> list[str]:
    """What happened, and what to do next."""
    stack, again = inventory.stack, f"`fleet undrain {inventory.stack} {node}` puts it in again"
    others = [name for name, place in inventory.units().items() if place[0] == node and name not in names]
    warning = (
        [f"{node} carries {', '.join(others)} too, which serves on: a stop of {node} stops that"]
        if others
        else []
    )
    if busy:
        left = ", ".join(f"{name} still has {count}" for name, count in busy.items())
        return [
            f"{node} gets no new requests, but {left} in flight: drain it again to wait on; {again}",
            *warning,
        ]
    return [
        f"{node} is drained: {', '.join(names)} out of the ring with nothing in flight",
        *warning,
        f"Work on it now, reboots included; {again}. `make up STACK={stack}` leaves it out.",
    ]


def _tell(answer: dict[str, Any], format_: Format, sentences: Sequence[str]) -> None:
    if format_ is Format.JSON:
        print_json(answer)
        return
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    for sentence in sentences:
        print(sentence)
