"""What answers and counters say: which turns stayed with their session's replica, and what all replicas counted."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

Answers = list[dict[str, Any]]
"""Answers of `replay` as they come out of its process, those of a session in order."""


def stayed_share(answers: Answers) -> float:
    """Follow-up turns that were answered where the session's turn before was, over all follow-up turns."""
    last: dict[str, str] = {}
    stayed = follow_ups = 0
    for answer in answers:
        if answer["turn"]:
            follow_ups += 1
            stayed += answer["replica"] == last[answer["session"]] != ""
        last[answer["session"]] = answer["replica"]
    return stayed / follow_ups


def counted(pages: Iterable[str], metric: str) -> float:
    """A counter of Prometheus pages, all its samples together."""
    pattern = re.compile(rf"^{re.escape(metric)}(?:{{[^}}]*}})? (\S+)$", re.MULTILINE)
    return sum(float(value) for page in pages for value in pattern.findall(page))
