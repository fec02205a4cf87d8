"""The journals of many machines as one: asked for by unit, merged by time, gone on with where the last look ended."""

from __future__ import annotations

import json
import queue
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from provisioning.day_two.answers import TOO_LATE, Answer
from provisioning.day_two.machines import COMMAND_S, Machines
from provisioning.errors import ProvisioningError

POLL_S = 1.0
_SINCE = re.compile(r"[1-9][0-9]*[smhd]")
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, order=True)
class Entry:
    """One line of a service's journal; `priority` is syslog's, 0 (emergency) to 7 (debug)."""

    time_us: int
    node: str
    service: str
    unit: str
    priority: int
    message: str

    @property
    def time(self) -> str:
        """When, in UTC: 2026-11-23T00:44:28.123Z."""
        moment = datetime.fromtimestamp(self.time_us // 1_000_000, UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{self.time_us // 1000 % 1000:03d}Z"

    @property
    def text(self) -> str:
        """The message without what would colour or move a terminal."""
        return _CONTROL.sub("", self.message)

    def to_dict(self) -> dict[str, Any]:
        """The entry for scripts; its keys are documented in docs/operating.md."""
        return {
            "time": self.time,
            "node": self.node,
            "service": self.service,
            "unit": self.unit,
            "priority": self.priority,
            "message": self.message,
        }


def is_period(text: str) -> bool:
    """Whether it says how long ago: 90s, 10m, 2h, 1d."""
    return bool(_SINCE.fullmatch(text))


@dataclass(frozen=True)
class News:
    """Entries, oldest first, and by machine or service why there is nothing, or not all, of it."""

    entries: list[Entry]
    problems: dict[str, str]


@dataclass
class Journals:
    """The journals of some services: `units` maps a service to its node and its unit.

    `lines` is how many of each service to begin with, None for all of `since`.
    """

    machines: Machines
    units: Mapping[str, tuple[str, str]]
    lines: int | None = None
    since: str = ""
    _cursors: dict[str, str] = field(default_factory=dict)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The machines that are asked."""
        return tuple(dict.fromkeys(node for node, _ in self.units.values()))

    def read(self) -> News:
        """What is new on all machines since the last look."""
        return self._read(self.nodes)

    def watch(self, told: Mapping[str, str]) -> Iterator[News]:
        """What is new from now on, machine by machine as it comes, without end: a silent one holds up no other.

        A problem comes once, until it has gone; those that are `told` already do not.
        """
        arrived: queue.SimpleQueue[News] = queue.SimpleQueue()
        stopped = threading.Event()

        def look(node: str) -> None:
            known = told
            while not stopped.wait(POLL_S):
                news = self._read((node,))
                fresh = {name: text for name, text in news.problems.items() if name not in known}
                known = news.problems
                arrived.put(News(news.entries, fresh))

        for node in self.nodes:
            threading.Thread(target=look, args=(node,), daemon=True).start()
        try:
            while True:
                yield arrived.get()
        finally:
            stopped.set()

    def _read(self, nodes: Sequence[str]) -> News:
        services = {
            node: [service for service, (place, _) in self.units.items() if place == node] for node in nodes
        }
        answers = self.machines.ask(
            {node: [self._words(service) for service in names] for node, names in services.items()}
        )
        news = News([], {})
        for node, answer in answers.items():
            if isinstance(answer, ProvisioningError):
                news.problems[node] = str(answer)
                continue
            for service, said in zip(services[node], answer, strict=True):
                news.entries.extend(self._taken(service, said))
                if said.exit_code:
                    reason = f"the journal of {service} was not read to its end: {_reason(said)}"
                    news.problems[service] = reason
        return News(sorted(news.entries), news.problems)

    def _words(self, service: str) -> tuple[str, ...]:
        _, unit = self.units[service]
        words = (
            *("journalctl", "--quiet", "--no-pager", "--all", "--output=json"),
            *("--output-fields=MESSAGE,PRIORITY", f"--unit={unit}"),
        )
        if cursor := self._cursors.get(service):
            return (*words, f"--after-cursor={cursor}")
        first = [f"--lines={self.lines}"] if self.lines is not None else []
        return (*words, *first, *([f"--since=-{self.since}"] if self.since else []))

    def _taken(self, service: str, said: Answer) -> list[Entry]:
        node, unit = self.units[service]
        entries = []
        for item in _objects(said.text.splitlines()):
            self._cursors[service] = item["__CURSOR"]
            entries.append(
                Entry(
                    time_us=int(item["__REALTIME_TIMESTAMP"]),
                    node=node,
                    service=service,
                    unit=unit,
                    priority=int(item.get("PRIORITY") or 6),
                    message=_message(item.get("MESSAGE")),
                )
            )
        return entries


def _reason(said: Answer) -> str:
    if said.exit_code == TOO_LATE:
        return f"that takes longer than {COMMAND_S} s; ask for less by --lines or --since"
    return said.last_line


def _objects(lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    """Whole entries alone: a journal that could not be read to its end breaks off in the middle of one."""
    for line in lines:
        try:
            item = json.loads(line)
        except ValueError:
            continue
        if isinstance(item, dict) and "__CURSOR" in item:
            yield item


def _message(value: Any) -> str:
    """journalctl shows text that is not UTF-8, or has control characters, as a list of bytes."""
    if isinstance(value, list):
        return bytes(value).decode(errors="replace")
    return "" if value is None else str(value)
