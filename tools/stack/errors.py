"""What the verbs say when they cannot go on."""

from __future__ import annotations


class StackError(Exception):
    """One or two sentences for the operator; `exit_code` is the failing program's own, or 3."""

    def __init__(self, message: str, exit_code: int = 3) -> None:
        self.exit_code = exit_code
        super().__init__(message)
