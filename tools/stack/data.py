"""Data that a stack would take with it when it goes: the operator says its name first, before anything is destroyed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from provisioning.converge.data import VARIABLE
from tools.stack.errors import StackError
from tools.stack.pulumi import Pulumi

SERVICE_TYPE = "fleet:index:Service"


def data_services(deployment: str) -> tuple[str, ...]:
    """Machine and service of all that holds data, from an exported state."""
    resources = json.loads(deployment).get("deployment", {}).get("resources") or []
    found = [item["outputs"] for item in resources if item["type"] == SERVICE_TYPE and item.get("outputs")]
    return tuple(
        f"{item['name']} on {item['connection']['name']}" for item in found if item.get("data_folders")
    )


def permission(
    pulumi: Pulumi, word: str, *, at_terminal: bool | None = None, ask: Callable[[str], str] = input
) -> dict[str, str]:
    """The environment that lets the stack's data go, empty where it has none. Raises StackError without permission.

    `word` is what the operator gave along; without it somebody at a terminal is asked.
    """
    held = data_services(pulumi.read("stack", "export", "--stack", pulumi.stack))
    if not held:
        return {}
    what = f"{pulumi.stack} keeps data in {', '.join(held)}"
    if not word and (sys.stdin.isatty() if at_terminal is None else at_terminal):
        word = ask(f"{what}, which goes for good. Type {pulumi.stack} to delete it: ").strip()
    if word != pulumi.stack:
        raise StackError(
            f"{what}: nothing was touched. `make backup STACK={pulumi.stack} TO=FILE` keeps a copy; "
            f"`make down STACK={pulumi.stack} DELETE_DATA={pulumi.stack}` deletes it",
            2,
        )
    return {VARIABLE: pulumi.stack}
