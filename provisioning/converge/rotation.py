"""A service that is a member of a gateway's ring: it leaves, drains, changes, and returns when it is ready.

All by the gateway's own `rotate` command, so that every kind of gateway answers in its own way. A gateway that does not
run yet, or does not know the member, has nothing to drain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from provisioning.converge.ring import Ring
from provisioning.converge.ring_status import (
    BY_UPDATE,
    Member,
    awaited,
    find,
    nobody_left,
    others_of,
    parse_status,
)
from provisioning.errors import (
    CommandError,
    Interrupted,
    ProvisioningError,
    RolledBack,
    RotationError,
    Unfinished,
)
from provisioning.ssh import Connection
from provisioning.state import Rotation

POLL_S = 0.5

OTHERS_WAIT_S = 30.0
"""How long a member waits for others that should serve again soon before it leaves."""

ANSWER_S = 150.0
"""How long the gateway may take to answer: one that is just starting is waited for by the command itself."""

_UNKNOWN = 3
"""The exit code of `rotate` that says: nobody of that name here."""


@dataclass(frozen=True)
class Membership:
    """A service's place in a ring. `shell` is the gateway's machine, called `host`.

    `rotation` holds the address that it will have, `address_before` the one that it has until it is changed.
    """

    host: str
    shell: Connection
    rotation: Rotation
    address_before: str
    ring: Ring
    progress: Callable[[str], None]
    warn: Callable[[str], None]
    stopped: Callable[[], bool]

    @property
    def name(self) -> str:
        """The member's name in the ring."""
        return self.rotation.member


@contextmanager
def out_of_ring(member: Membership | None, *, touched: bool, serves: bool) -> Iterator[None]:
    """The block in which the service is changed; afterwards it is in the ring, also when nothing of it was touched.

    `touched`: its units start, stop or restart; `serves`: they run now. Raises RingStopped, RotationError, CommandError
    or Interrupted when it was left as it was, and Unfinished when it is new, but out of the ring. After a RolledBack it
    returns if it serves as before, and after any other error it stays out.
    """
    if member is None:
        yield
        return
    if not touched:
        yield
        _return_new(member)
        return
    with member.ring.turn(member.name, serves=serves, waiting=lambda names: _wait(member, names)):
        _leave(member, serves=serves)
        try:
            yield
        except RolledBack as error:
            if error.serves:
                _return_old(member, error)
            raise
        _return_new(member)


def leave_for_good(member: Membership) -> None:
    """Take it out and let it drain; also one that the gateway has forgotten, while it still answers requests."""
    _rotate(member, "out", member.name, BY_UPDATE)
    _drain(member)


def is_out_by_update(member: Membership) -> bool:
    """Whether a change that did not end has left it out of the ring. One that an operator took out is not."""
    found = find(_pools(member), member.name)
    return found is not None and found.out_by == BY_UPDATE


def _leave(member: Membership, *, serves: bool) -> None:
    if serves:
        _let_others_serve(member)
    if _rotate(member, "out", member.name, BY_UPDATE) is None:
        return
    try:
        _drain(member)
    except ProvisioningError:
        with suppress(
            ProvisioningError
        ):  # the first error is the one to tell; a refresh finds a member that is out
            _enter(member, member.address_before)
        raise


def _let_others_serve(member: Membership) -> None:
    """Wait for members that come back soon. Raises RotationError when this is the only one that serves."""
    deadline = time.monotonic() + OTHERS_WAIT_S
    while True:
        pools = _pools(member)
        itself, others = find(pools, member.name), others_of(pools, member.name)
        if itself is None or not itself.serves or not (missing := awaited(others)):
            break
        if time.monotonic() > deadline:
            break
        _wait(member, ", ".join(one.name for one in missing))
        time.sleep(POLL_S)
    if itself is not None and itself.serves and nobody_left(others):
        message = (
            f"only {member.name} of {member.rotation.ring} serves, so it was left as it was "
            f"({'; '.join(map(str, others))}): bring another back, or take the others out of the spec first"
        )
        raise RotationError(member.host, message)


def _drain(member: Membership) -> None:
    limit_s = member.rotation.drain_timeout_s
    deadline = time.monotonic() + limit_s
    while in_flight := _in_flight(member):
        requests = f"{in_flight} request{'s' if in_flight > 1 else ''}"
        if time.monotonic() > deadline:
            member.warn(
                f"{member.name}: {requests} still in flight after {limit_s} s; they end with its process"
            )
            return
        if member.stopped():
            raise Interrupted(member.host, f"{member.name} had {requests} in flight")
        member.progress(f"{member.name}: {requests} in flight")
        time.sleep(POLL_S)


def _wait(member: Membership, names: str) -> None:
    if member.stopped():
        raise Interrupted(member.host, f"{member.name} waited for {names}")
    member.progress(f"{member.name}: waits until {names} is back in the ring")


def _return_new(member: Membership) -> None:
    try:
        _enter(member, member.rotation.address)
    except ProvisioningError as error:
        raise Unfinished(error) from error


def _return_old(member: Membership, cause: RolledBack) -> None:
    try:
        _enter(member, member.address_before)
    except ProvisioningError as error:
        outcome = f"{cause.outcome}, but it is out of the ring: {error}"
        raise RolledBack(cause.cause, outcome, serves=False) from error


def _enter(member: Membership, address: str) -> None:
    _rotate(member, "in", member.name, address, BY_UPDATE)


def _in_flight(member: Membership) -> int:
    answer = _rotate(member, "in-flight", member.name)
    if answer is None:
        return 0
    try:
        return int(answer)
    except ValueError:
        raise _nonsense(member, "in-flight", answer) from None


def _pools(member: Membership) -> tuple[tuple[Member, ...], ...]:
    answer = _rotate(member, "status")
    if answer is None:
        return ()
    try:
        return parse_status(answer)
    except ValueError:
        raise _nonsense(member, "status", answer) from None


def _nonsense(member: Membership, verb: str, answer: str) -> CommandError:
    said = f"its answer is {answer[:80]!r}"
    return CommandError(member.host, (*member.rotation.command, verb), 0, said)


def _rotate(member: Membership, *words: str) -> str | None:
    """What the gateway's command answers; None when there is no gateway, or it does not know the member."""
    argv = (*member.rotation.command, *words)
    result = member.shell.script(_ROTATE, *argv, timeout_s=ANSWER_S, check=False)
    if result.exit_code == _UNKNOWN:
        return None
    if result.exit_code:
        raise CommandError(member.host, argv, result.exit_code, result.stderr.strip() or result.stdout)
    return result.stdout.strip()


_ROTATE = f"""# asking the gateway
[ -x "$1" ] || exit {_UNKNOWN}
exec "$@"
"""
