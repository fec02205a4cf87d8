"""Progress for a person who waits: what runs, for how long so far, and why it takes that long."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

QUIET_INTERVAL_S = 10.0
"""How often a line is added where the output is not a terminal (a log), so that silence never looks like a hang."""


class Console:
    """Writes progress to stderr: one line that counts on a terminal, a new line every ten seconds elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._title = ""
        self._started_s = time.monotonic()
        self._last_line_s = self._started_s

    def say(self, text: str) -> None:
        """Writes one line for good."""
        self._clear()
        print(text, file=sys.stderr, flush=True)
        self._last_line_s = time.monotonic()

    @contextmanager
    def timed(self, title: str, why: str) -> Iterator[None]:
        """Announces a step, counts while it runs, and says how long it took."""
        self._title, self._started_s = title, time.monotonic()
        self.say(f"{title}: {why}")
        yield
        self.say(f"{title}: done in {_duration(self._elapsed_s())}")

    def tick(self, detail: str = "") -> None:
        """Called about once a second while a command runs; `detail` is the last line that it wrote."""
        text = f"{self._title}: {_duration(self._elapsed_s())} so far"
        text = f"{text}: {detail.strip()}" if detail.strip() else text
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\033[K{text[:width]}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._last_line_s >= QUIET_INTERVAL_S:
            self.say(text[:160])

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._started_s

    def _clear(self) -> None:
        if self._live:
            print("\r\033[K", end="", file=sys.stderr)


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"
