"""Waits that end: for what another process does in its own time."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable

import pytest

LIMIT_S = 60.0
_POLL_S = 0.1


def wait_until(holds: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> None:
    """Returns when it holds; fails the test when it does not within the limit."""
    deadline_s = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > deadline_s:
            pytest.fail(f"not within {limit_s:.0f} s: {what}")
        time.sleep(_POLL_S)


def wait_for_output(process: subprocess.Popen[str], words: str) -> None:
    """Reads what the process says up to the line with these words; fails the test when it ends or hangs without."""
    assert process.stdout
    seen: list[str] = []
    hangs = threading.Timer(LIMIT_S, process.kill)
    hangs.start()
    try:
        for line in process.stdout:
            seen.append(line)
            if words in line:
                return
    finally:
        hangs.cancel()
    pytest.fail(f"{words!r} never appeared in\n{''.join(seen)}")
