"""What nobody else has, such as the state of agents: it goes only when the operator says the stack's name."""

from __future__ import annotations

import os
from collections.abc import Sequence

from provisioning.converge.machine import Machine
from provisioning.errors import HostError

VARIABLE = "AGENTFLEET_DELETE_DATA"


def refuse_to_lose(machine: Machine, service: str, folders: Sequence[str]) -> None:
    """Return when the service may be removed: its data folders hold nothing, or VARIABLE names the stack.

    Raises HostError before anything was touched.
    """
    if not folders or os.environ.get(VARIABLE) == machine.stack:
        return
    if held := machine.shell.script(_HELD, *folders, timeout_s=60).stdout.splitlines():
        message = (
            f"{', '.join(held)} holds the data of {service}, which would be lost: back it up, then run again with "
            f"{VARIABLE}={machine.stack}"
        )
        raise HostError(machine.host, message)


_HELD = """# looking for data
for folder in "$@"; do
    [ -z "$(find "$folder" -type f -size +0 2>/dev/null | head -n 1)" ] || printf '%s\\n' "$folder"
done
"""
