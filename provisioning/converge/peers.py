"""A server among others that hold the same: it is disturbed when they can do without it, and the next when it is back.

By its own command, on its own machine, so that every kind of store answers in its own way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from provisioning.converge.machine import Machine
from provisioning.converge.ring import Ring
from provisioning.errors import Interrupted, PeersError, ProvisioningError, Unfinished
from provisioning.state import Peers

POLL_S = 0.5

PEERS_WAIT_S = 300.0
"""For others that are being brought beside it, packages included, and for a link between servers that run."""

COPY_WAIT_S = 3600.0
"""For a server that copies all data of another: a store of many GiB."""

NOBODY_WAIT_S = 60.0
"""For a primary that Sentinels may still be choosing: they take ten seconds, on a busy machine more."""

ANSWER_S = 240.0
"""One answer; a primary that hands over bounds its own waits to half of that on an idle machine."""

_COPIES = 2
_NOTHING_TO_KEEP = 3


@dataclass(frozen=True)
class Place:
    """A service's place among its peers; `ring` holds the turns of all of them."""

    machine: Machine
    peers: Peers
    ring: Ring
    warn: Callable[[str], None]


@contextmanager
def in_turn(place: Place | None, *, touched: bool, serves: bool) -> Iterator[None]:
    """The block in which the service is changed, alone among its peers; afterwards it is one of them again.

    `touched`: its units start, stop or restart; `serves`: they run now. Raises RingStopped, PeersError, CommandError or
    Interrupted when it was left as it was, and Unfinished when it is new, but not one of them yet.
    """
    if place is None or not touched:
        yield
        return
    name = place.peers.member
    with place.ring.turn(name, serves=serves, waiting=lambda names: _wait(place, f"until {names} is back")):
        if serves:
            _leave(place)
        yield
        try:
            _come_back(place)
        except ProvisioningError as error:
            raise Unfinished(error) from error


def _leave(place: Place) -> None:
    code, said = _ask_until(place, "leave")
    if code == _NOTHING_TO_KEEP:  # a change takes nothing from agents then, and may be what mends the store
        place.warn(f"{place.peers.member}: {said}; it is changed all the same")
    elif code:
        advice = "bring the others back, or name others in the spec, then run again"
        sentence = f"{place.peers.member} was left as it was: {said}: {advice}"
        raise PeersError(place.machine.host, sentence)


def _come_back(place: Place) -> None:
    code, said = _ask_until(place, "back")
    if code:
        sentence = f"{place.peers.member} runs, but {said}: see to the others and the network between, then run again"
        raise PeersError(place.machine.host, sentence)


def _ask_until(place: Place, verb: str) -> tuple[int, str]:
    """The last answer: the first that is 0, or what was still said when the time was over."""
    began = time.monotonic()
    while True:
        code, said = _ask(place, verb)
        waited_s = time.monotonic() - began
        if code == 0 or waited_s > _limit_s(code):
            return code, f"{said} (waited {waited_s:.0f} s)"
        _wait(place, f"since {said}")
        time.sleep(POLL_S)


def _limit_s(code: int) -> float:
    return {_COPIES: COPY_WAIT_S, _NOTHING_TO_KEEP: NOBODY_WAIT_S}.get(code, PEERS_WAIT_S)


def _wait(place: Place, what: str) -> None:
    if place.machine.stopped():
        raise Interrupted(place.machine.host, f"{place.peers.member} waited {what}")
    place.machine.progress(f"{place.peers.member}: waits {what}")


def _ask(place: Place, verb: str) -> tuple[int, str]:
    words: Sequence[str] = (*place.peers.command, verb)
    result = place.machine.shell.script(_ASK, *words, timeout_s=ANSWER_S, check=False)
    lines = (result.stdout.strip() or result.stderr.strip()).splitlines()
    return result.exit_code, lines[-1] if lines else f"`{verb}` ended with {result.exit_code}"


_ASK = """# asking a server for its place among the others
# An earlier version has brought no such command, and was changed without asking.
[ -x "$1" ] || exit 0
exec "$@"
"""
