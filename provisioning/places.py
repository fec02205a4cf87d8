"""Where agentfleet keeps things on this computer: one place, used by the set-up, the provider and the tests.

Only the standard library is imported here, because the set-up runs before the virtual environment exists.
"""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """Downloads and builds, keyed by their versions; safe to delete while no lab node runs.

    AGENTFLEET_CACHE, else /var/cache/agentfleet for root, else ~/.cache/agentfleet. Lab services run under users of
    their own, so root's cache must not be below /root, which they cannot enter.
    """
    return _place("AGENTFLEET_CACHE", Path("/var/cache/agentfleet"), Path.home() / ".cache" / "agentfleet")


def state_dir() -> Path:
    """Pulumi's file backend, the generated passphrase, lab keys and lab nodes; deleting it orphans what runs.

    AGENTFLEET_HOME, else /var/lib/agentfleet for root, else ~/.local/share/agentfleet.
    """
    return _place(
        "AGENTFLEET_HOME", Path("/var/lib/agentfleet"), Path.home() / ".local" / "share" / "agentfleet"
    )


def _place(variable: str, for_root: Path, for_user: Path) -> Path:
    if given := os.environ.get(variable):
        return Path(given).resolve()
    return for_root if os.geteuid() == 0 else for_user
