"""Who of a ring may be disturbed now: one member at a time, and nobody after one that failed. Of this process alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from provisioning.errors import RingStopped

LOOK_S = 0.5
"""How often a member that waits looks whether the operator has stopped the run."""


class Ring:
    """The turns of one ring's members; thread-safe."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._changed = threading.Condition()
        self._busy: set[str] = set()
        self._failed = ""

    @contextmanager
    def turn(self, member: str, *, serves: bool, waiting: Callable[[str], None]) -> Iterator[None]:
        """The block in which a member is changed; one that fails in it is remembered.

        A member that `serves` waits until nobody else is changed, and meanwhile calls `waiting` with their names, which
        may raise. After a failure it is refused with RingStopped. One that does not serve yet, or no more, takes
        nothing away from the ring: it comes at once, whatever became of the others.
        """
        with self._changed:
            while serves and self._busy and not self._failed:
                waiting(", ".join(sorted(self._busy)))
                self._changed.wait(LOOK_S)
            if serves and self._failed:
                raise RingStopped(self._name, member, self._failed)
            self._busy.add(member)
        failed = member
        try:
            yield
            failed = ""
        finally:
            with self._changed:
                self._busy.discard(member)
                self._failed = self._failed or failed
                self._changed.notify_all()


class Rings:
    """All rings that this process has met."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: dict[str, Ring] = {}

    def ring(self, name: str) -> Ring:
        """The ring of that name."""
        with self._guard:
            return self._known.setdefault(name, Ring(name))
