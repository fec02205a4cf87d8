"""A claim of the sizing article of March 2026: its figure, ours, the verdict, and why."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

EXACT = 1e-9
MODEL = 0.03
"""How far a value may drift from the reviewed one: not at all, or as the memory model's constants are measured anew."""


class Verdict(StrEnum):
    """What becomes of a claim."""

    REPRODUCES = "reproduces"
    CORRECTS = "corrects"
    REJECTS = "rejects"
    UNDECIDED = "not decided here"


@dataclass(frozen=True)
class Stated:
    """The article's figure as it reads, and the values that would bear it out."""

    text: str
    low: float = math.nan
    high: float = math.nan

    def holds(self, value: float) -> bool:
        """Whether `value` bears the figure out."""
        return self.low * (1 - EXACT) <= value <= self.high * (1 + EXACT)


def exactly(text: str, value: float) -> Stated:
    """A figure that is meant to the digit."""
    return Stated(text, value, value)


def about(text: str, value: float, within: float) -> Stated:
    """A rounded figure: `within` is the relative error that its rounding excuses."""
    return Stated(text, value * (1 - within), value * (1 + within))


def between(text: str, low: float, high: float, within: float = 0.0) -> Stated:
    """A range, whose ends may be rounded as in `about`."""
    return Stated(text, low * (1 - within), high * (1 + within))


def at_least(text: str, low: float) -> Stated:
    """A figure that holds with any larger value: a capacity that is enough."""
    return Stated(text, low, math.inf)


def at_most(text: str, high: float) -> Stated:
    """A figure that holds with any smaller value: a limit."""
    return Stated(text, 0, high)


@dataclass(frozen=True)
class Ours:
    """Our figure: how it is computed, what it was when it was reviewed, how far it may drift, and how it is printed."""

    compute: Callable[[], float]
    reviewed: float
    print_as: str
    drift: float = EXACT

    @functools.cached_property
    def value(self) -> float:
        """What is computed now."""
        return self.compute()

    def __str__(self) -> str:
        return self.print_as.format(self.value).replace("%", " %")


@dataclass(frozen=True)
class Claim:
    """One figure of the article. `says` and `why` are one sentence or less each."""

    says: str
    stated: Stated
    ours: Ours | None
    verdict: Verdict
    why: str


@dataclass(frozen=True)
class Section:
    """The claims of one part of the article, in its order."""

    title: str
    claims: tuple[Claim, ...]


def reproduces(says: str, stated: Stated, ours: Ours, why: str) -> Claim:
    """The figure is right, under the assumptions that `why` names."""
    return Claim(says, stated, ours, Verdict.REPRODUCES, why)


def corrects(says: str, stated: Stated, ours: Ours, why: str) -> Claim:
    """The right question with another answer."""
    return Claim(says, stated, ours, Verdict.CORRECTS, why)


def rejects(says: str, stated: Stated, ours: Ours | None, why: str) -> Claim:
    """The statement does not hold, or its figure answers another question."""
    return Claim(says, stated, ours, Verdict.REJECTS, why)


def undecided(says: str, stated: str, why: str) -> Claim:
    """A measurement or a property of the workload, which no formula here can decide."""
    return Claim(says, Stated(stated), None, Verdict.UNDECIDED, why)
