"""The machines' answers by service, and what is read of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from infra.day_two.metrics import sample_sum, sample_values
from infra.day_two.questions import Question, Subject
from provisioning.day_two.answers import Answer, Answers

_SAID_CHARACTERS = 160
_CURL = re.compile(r"^curl: (\([0-9]+\) )?")


@dataclass(frozen=True)
class Look:
    """A service's answers by their subject."""

    answers: Mapping[Subject, Answer]

    @property
    def unit(self) -> dict[str, str]:
        """systemd's properties of its unit."""
        lines = self.answers["unit"].text.splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    @property
    def unit_state(self) -> str:
        """Such as "active (running)"."""
        unit = self.unit
        if unit.get("LoadState") == "not-found":
            return "not there"
        return f"{unit.get('ActiveState', 'unknown')} ({unit.get('SubState', 'unknown')})"

    @property
    def restarts(self) -> int | None:
        """How often systemd started it again by itself."""
        found = self.unit.get("NRestarts", "")
        return int(found) if found.isdigit() else None

    @property
    def unhealthy(self) -> str:
        """What /health answers when it is not 200; empty when it is."""
        answer = self.answers["health"]
        body, _, status = answer.text.strip().rpartition("\n")
        if status == "200":
            return ""
        body = shortened(body)
        if answer.exit_code:
            return f"does not answer /health ({_CURL.sub('', body)})"
        return f"answers /health with {status}{body and ': '}{body}"

    def numbers(self, metric: str) -> tuple[float, ...]:
        """The samples of an engine's metric."""
        return sample_values(self.answers["metrics"].text, metric)

    def total(self, metric: str) -> int | None:
        """The samples together."""
        found = sample_sum(self.answers["metrics"].text, metric)
        return None if found is None else round(found)


def read_looks(
    asked_of: Mapping[str, tuple[Question, ...]], answers: Mapping[str, Answers]
) -> dict[str, Look]:
    """By service; those whose machine does not answer are left out."""
    found: dict[str, dict[Subject, Answer]] = {}
    for node, items in asked_of.items():
        said = answers[node]
        if isinstance(said, tuple):
            for question, answer in zip(items, said, strict=True):
                found.setdefault(question.service, {})[question.subject] = answer
    return {service: Look(by_subject) for service, by_subject in found.items()}


def read_ring(gateway: Look | None) -> dict[str, dict[str, Any]]:
    """What the gateway knows of each replica; empty when it says nothing that can be read."""
    if gateway is None or gateway.answers["ring"].exit_code:
        return {}
    try:
        pools = json.loads(gateway.answers["ring"].text)["pools"].values()
        return {name: dict(item) for pool in pools for name, item in pool["replicas"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def shortened(text: str) -> str:
    """What a program said, on one line and not longer than a line."""
    words = re.sub(r"\s+", " ", text).strip()
    return words if len(words) <= _SAID_CHARACTERS else f"{words[: _SAID_CHARACTERS - 1]}…"
