"""Errors that an operator reads: one sentence that names the place and says what to do.

FleetError                  exit code 3 unless stated
├── SpecError      (2)      the spec, with every problem found in it at once
├── SizingError    (2)      a model, device or flag combination that is not understood
├── PlanError      (1)      understood, but it does not fit
├── RenderError    (2)      a template and a plan that do not match
├── UnknownName    (2)      a node or a service that a stack does not have
└── Refused        (1)      what would do harm and was not forced
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class FleetError(Exception):
    """Base of all errors that the `fleet` command prints as a sentence, without a traceback."""

    exit_code = 3


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a spec: where it stands and what to do about it.

    `line` and `column` count from 1; 0 means that the place is not in the file (a missing key of the whole document).
    """

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        """`stacks/a.fleet.yaml:12: workload.agents: must be at least 1`."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class SpecError(FleetError):
    """A spec with one or more problems, all of them listed, in the order of the file."""

    exit_code = 2

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, p.column, p.path)))
        super().__init__("\n".join(str(p) for p in self.problems))


class SizingError(FleetError):
    """A model, device or flag that the memory model does not understand; never answered with a guess."""

    exit_code = 2

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        self.message = message
        super().__init__(f"{field}: {message}")


class PlanError(FleetError):
    """A fleet that is understood but cannot stand on the given machines."""

    exit_code = 1


class RenderError(FleetError):
    """A template that asks for something the plan does not hold."""

    exit_code = 2


class UnknownName(FleetError):
    """A node or a service that the stack does not have; says which ones it has."""

    exit_code = 2


class Refused(FleetError):
    """Something that was not begun, because it would do harm; says what, and how to have it all the same."""

    exit_code = 1
