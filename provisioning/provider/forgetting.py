"""A machine that is gone must not block a destroy, and must not be forgotten by accident either."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from provisioning.errors import HostError, Unreachable

VARIABLE = "AGENTFLEET_FORGET_DEAD_HOSTS"


def may_forget(connection: Mapping[str, Any], error: Unreachable, warn: Callable[[str], None]) -> None:
    """Return when the machine may be forgotten: it goes with the stack, or the operator says so. Raises HostError."""
    if connection.get("ephemeral"):
        return
    if os.environ.get(VARIABLE) == "1":
        warn(f"{error.message}: forgotten, whatever stands there stays there")
        return
    message = f"{error.message}. If it is gone for good, run again with {VARIABLE}=1 to forget it"
    raise HostError(connection["name"], message)
