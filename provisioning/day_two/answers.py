"""What machines answer to commands."""

from __future__ import annotations

from dataclasses import dataclass

from provisioning.errors import ProvisioningError

TOO_LATE = 124
"""The exit code of a command that did not end in its time."""


@dataclass(frozen=True)
class Answer:
    """How a command ended, and what it printed on both outputs together."""

    exit_code: int
    text: str

    @property
    def last_line(self) -> str:
        """Its last words, which programs use for the reason."""
        lines = self.text.split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), f"exit {self.exit_code}")


Answers = tuple[Answer, ...] | ProvisioningError
"""A machine's answers in the order of the questions, or why there are none."""
