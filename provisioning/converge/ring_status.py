"""What a gateway says of its ring, read: who serves, who is out and by whom. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

BY_UPDATE = "update"
"""Who took a member out: a change of it by this provider, which puts it in again."""

BY_OPERATOR = "operator"
"""... or a person, who alone puts it in again."""


@dataclass(frozen=True)
class Member:
    """A member as its gateway sees it; `out_by` is empty for one that is in, or waits for its address to be known."""

    name: str
    is_in: bool
    out_by: str
    healthy: bool

    @property
    def serves(self) -> bool:
        """Whether requests go to it, and it answers."""
        return self.is_in and self.healthy

    def __str__(self) -> str:
        if self.out_by:
            return f"{self.name} was taken out by {_WHOM.get(self.out_by, self.out_by)}"
        return f"{self.name} does not answer"


def parse_status(text: str) -> tuple[tuple[Member, ...], ...]:
    """The members, pool by pool. Raises ValueError when it is no such answer."""
    try:
        pools = json.loads(text)["pools"].values()
        return tuple(tuple(_member(name, item) for name, item in pool["replicas"].items()) for pool in pools)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{error!r} is missing or misplaced") from error


def find(pools: Sequence[Sequence[Member]], name: str) -> Member | None:
    """The member of that name."""
    return next((member for pool in pools for member in pool if member.name == name), None)


def others_of(pools: Sequence[Sequence[Member]], name: str) -> tuple[Member, ...]:
    """The other members of its pool."""
    pool: Sequence[Member] = next((p for p in pools if any(m.name == name for m in p)), ())
    return tuple(member for member in pool if member.name != name)


def awaited(others: Sequence[Member]) -> tuple[Member, ...]:
    """Those that may serve again any moment: whom no operator took out."""
    return tuple(member for member in others if not member.serves and member.out_by != BY_OPERATOR)


def nobody_left(others: Sequence[Member]) -> bool:
    """Whether a ring of several would have nobody to serve."""
    return bool(others) and not any(member.serves for member in others)


def _member(name: str, item: Any) -> Member:
    return Member(name, item["ring"] == "in", item.get("out_by") or "", bool(item["healthy"]))


_WHOM = {BY_UPDATE: "a change", BY_OPERATOR: "an operator"}
