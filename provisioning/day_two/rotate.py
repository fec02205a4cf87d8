"""An operator's hand on a gateway's ring, by the gateway's own `rotate` command."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from provisioning.converge.ring_status import BY_OPERATOR, Member, parse_status
from provisioning.day_two.answers import Answer
from provisioning.day_two.machines import Machines
from provisioning.errors import CommandError

POLL_S = 1.0

UNKNOWN = 3
"""The exit code of `rotate` that says: no gateway runs here, or nobody of that name is in it."""


@dataclass(frozen=True)
class OperatorRing:
    """The ring of the gateway on `node`. Every method raises HostError and CommandError."""

    machines: Machines
    node: str
    command: str

    def pools(self) -> tuple[tuple[Member, ...], ...]:
        """Its members, pool by pool."""
        said = self._rotate("status")
        try:
            return parse_status(said)
        except ValueError as error:
            raise CommandError(self.node, (self.command, "status"), 0, str(error)) from None

    def take_out(self, name: str) -> None:
        """No new requests for it, until an operator puts it in again."""
        self._rotate("out", name, BY_OPERATOR)

    def take_in(self, name: str, address: str) -> None:
        """Requests for it again, whoever took it out."""
        self._rotate("in", name, address, BY_OPERATOR)

    def in_flight(self, names: Sequence[str]) -> dict[str, int]:
        """How many requests each is working on."""
        asked = {name: (self.command, "in-flight", name) for name in names}
        answers = self.machines.ask({self.node: tuple(asked.values())})[self.node]
        if isinstance(answers, Exception):
            raise answers
        return {
            name: self._number(words, said)
            for (name, words), said in zip(asked.items(), answers, strict=True)
        }

    def drain(
        self, names: Sequence[str], timeout_s: float, progress: Callable[[str], None]
    ) -> dict[str, int]:
        """Waits until they work on no request, or the time is over; what each still works on then."""
        deadline = time.monotonic() + timeout_s
        while True:
            busy = {name: count for name, count in self.in_flight(names).items() if count}
            if not busy or time.monotonic() >= deadline:
                return busy
            left = ", ".join(f"{name} has {count} in flight" for name, count in busy.items())
            progress(f"{left}; waiting for {max(0.0, deadline - time.monotonic()):.0f} s more at most")
            time.sleep(POLL_S)

    def _rotate(self, *words: str) -> str:
        argv = (self.command, *words)
        answer = self.machines.run(self.node, argv)
        if answer.exit_code:
            raise CommandError(self.node, argv, answer.exit_code, answer.text)
        return answer.text

    def _number(self, words: Sequence[str], answer: Answer) -> int:
        if answer.exit_code == UNKNOWN:  # gone from the ring with nothing left to do
            return 0
        if answer.exit_code or not answer.text.strip().isdigit():
            raise CommandError(self.node, words, answer.exit_code, answer.text)
        return int(answer.text)
