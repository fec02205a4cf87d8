"""A machine as the converging code sees it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from provisioning.ssh import Connection


@dataclass(frozen=True)
class Machine:
    """`lock` keeps two services from changing packages and the record at once.

    `stopped` tells whether the operator asked to stop; only a wait looks at it, a step that acts is finished.
    """

    host: str
    shell: Connection
    lock: AbstractContextManager[object]
    stack: str
    progress: Callable[[str], None]
    stopped: Callable[[], bool] = lambda: False
