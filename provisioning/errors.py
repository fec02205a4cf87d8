"""Errors of the acting half: one sentence that names the machine and says what to do, without secrets.

ProvisioningError
├── HostError               a machine that cannot be used: the network, its key, the login, sudo
│   └── Unreachable         ... because nothing answered; a machine that still boots may answer later
├── CommandError            a command that ran and failed
│   ├── CommandTimeout      ... that did not end in its time and was stopped
│   └── LinkBroken          ... whose end nobody saw
├── UnitError               a systemd unit that does not come up, with its own last lines
├── GateError               a running program that does not hold what the plan promised
├── Interrupted             the operator stopped the run
├── RotationError           a gateway that cannot do without this member now
├── PeersError              servers that cannot do without this one now, or that it does not come back to
├── RingStopped             a change that was not begun, because another member of the ring failed
├── RolledBack              a change that failed, and how going back went
├── Unfinished              a change that failed and left the new version on the machine
└── LabError                this computer cannot run lab nodes
"""

from __future__ import annotations

import shlex
import signal
from collections.abc import Sequence

_TAIL_LINES = 8
_UNIT_LINES = 14
_LINE_CHARACTERS = 300
_COMMAND_CHARACTERS = 160


class ProvisioningError(Exception):
    """Base of everything that goes wrong on or with a machine."""


class HostError(ProvisioningError):
    """A machine that cannot be used as it stands."""

    def __init__(self, host: str, message: str) -> None:
        self.host = host
        self.message = message
        super().__init__(f"host {host}: {message}")


class Unreachable(HostError):
    """No SSH server answered: the only host error that waiting may cure."""


class CommandError(ProvisioningError):
    """A command that failed on a machine.

    `argv` is shown in the message, so it must not hold a secret: those travel by stdin. `what` replaces it
    where a person is better served by words ("writing /etc/hosts"). `stderr` may be the whole output: its last
    lines are shown. `exit_code` is None when the command's end was not seen. `advice` says what to do, where
    that is known.
    """

    def __init__(  # noqa: PLR0913 - these are the parts of one sentence
        self,
        host: str,
        argv: Sequence[str],
        exit_code: int | None,
        stderr: str = "",
        *,
        what: str = "",
        advice: str = "",
    ) -> None:
        self.host = host
        self.argv = tuple(argv)
        self.exit_code = exit_code
        self.stderr = stderr
        self.what = what or f"`{_shortened(shlex.join(self.argv), _COMMAND_CHARACTERS)}`"
        self.advice = advice
        tail = _quoted_tail(stderr)
        separator = "\n" if "\n" in tail else "; "
        super().__init__(f"host {host}: {self._verdict()}{tail}" + (f"{separator}{advice}" if advice else ""))

    def _verdict(self) -> str:
        return f"{self.what} failed ({_ending(self.exit_code)})"


class CommandTimeout(CommandError):
    """A command that was still running when its time was over; it was told to stop."""

    def __init__(  # noqa: PLR0913 - these are the parts of one sentence
        self,
        host: str,
        argv: Sequence[str],
        timeout_s: float,
        stderr: str = "",
        *,
        what: str = "",
        advice: str = "",
    ) -> None:
        self.timeout_s = timeout_s
        super().__init__(host, argv, None, stderr, what=what, advice=advice)

    def _verdict(self) -> str:
        return f"{self.what} did not end within {self.timeout_s:g} s and was stopped"


class LinkBroken(CommandError):
    """The connection ended while the command ran, so that nobody knows how it went."""

    def __init__(self, host: str, argv: Sequence[str], *, what: str = "") -> None:
        advice = "check that the machine is up, then run again: what is done already is not done twice"
        super().__init__(host, argv, None, what=what, advice=advice)

    def _verdict(self) -> str:
        return f"the connection broke while {self.what} ran, so its outcome is unknown"


class UnitError(ProvisioningError):
    """A unit that does not come up; `said` is what it printed itself."""

    def __init__(self, host: str, unit: str, reason: str, said: str) -> None:
        self.host = host
        self.unit = unit
        last_lines = said.splitlines()[-_UNIT_LINES:]
        quoted = "".join(f"\n  {_shortened(line, _LINE_CHARACTERS)}" for line in last_lines)
        super().__init__(
            f"host {host}: unit {unit} {reason}; its last lines:{quoted or ' (none)'}\n"
            f"See all of it with: journalctl -u {unit}"
        )


class GateError(ProvisioningError):
    """A number that the running program reports and that is too far from the plan's."""

    def __init__(self, host: str, message: str, advice: str) -> None:
        self.host = host
        super().__init__(f"host {host}: deploy gate: {message}; {advice}")


class Interrupted(ProvisioningError):
    """The operator stopped the run while nothing was half-done but a wait."""

    def __init__(self, host: str, doing: str) -> None:
        super().__init__(f"host {host}: stopped while {doing}; run again to go on")


class RotationError(ProvisioningError):
    """A ring that nobody would be left in."""

    def __init__(self, host: str, message: str) -> None:
        super().__init__(f"host {host}: gateway: {message}")


class PeersError(ProvisioningError):
    """Servers that hold the same and cannot do without this one now, or that it does not come back to."""

    def __init__(self, host: str, message: str) -> None:
        super().__init__(f"host {host}: {message}")


class RingStopped(ProvisioningError):
    """A member that was left as it was, because the change of `failed`, of the same ring, did not succeed."""

    def __init__(self, ring: str, member: str, failed: str) -> None:
        super().__init__(
            f"{member} was left as it was, serving: the change of {failed}, of the same ring {ring}, did not succeed "
            f"in this run; see to {failed}, then run again"
        )


class RolledBack(ProvisioningError):
    """A change that failed; the machine was taken back to what it was. `outcome` says how that went.

    `serves` tells whether what ran before the change runs again, or still.
    """

    def __init__(self, cause: ProvisioningError, outcome: str, *, serves: bool = True) -> None:
        self.cause = cause
        self.outcome = outcome
        self.serves = serves
        super().__init__(f"{cause}\n({outcome})")


class Unfinished(ProvisioningError):
    """A change that failed in the middle; the machine holds the new version, as far as it got."""

    def __init__(self, cause: ProvisioningError) -> None:
        self.cause = cause
        super().__init__(str(cause))


class LabError(ProvisioningError):
    """This computer cannot run the lab node that was asked for."""


def _ending(exit_code: int | None) -> str:
    """`exit 100`; `exit 137, SIGKILL` for the codes by which a shell says that a signal ended the command."""
    if exit_code is None:
        return "no exit status"
    named = {s.value + 128: s.name for s in signal.Signals if s.value <= signal.SIGTERM}
    return f"exit {exit_code}, {named[exit_code]}" if exit_code in named else f"exit {exit_code}"


def _quoted_tail(text: str) -> str:
    lines = [_shortened(line.rstrip(), _LINE_CHARACTERS) for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return "".join(f": {line}" for line in lines)
    return ":\n" + "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:])


def _shortened(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"
