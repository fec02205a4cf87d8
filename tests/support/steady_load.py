"""Agents that never pause: chat requests, half of them streams, each one checked to its last token."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

TOKENS = 6
REQUEST_LIMIT_S = 120
MOST_REQUESTS = 50_000
"""A load that nobody stops ends by itself."""


@dataclass(frozen=True)
class Outcome:
    """One request: when it began, how long it took, and what was wrong with its answer, "" for nothing."""

    session: str
    stream: bool
    began_s: float
    took_s: float
    fault: str


@dataclass
class SteadyLoad:
    """Sessions that ask one question after another; `outcomes` grows meanwhile."""

    endpoint: str
    key: str
    model: str = "agent"
    sessions: int = 6
    think_s: float = 0.25
    outcomes: list[Outcome] = field(default_factory=list)
    _stopped: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def running(self) -> Iterator[None]:
        """The load lasts as long as the block; every request that it began is ended."""
        self._stopped.clear()
        threads = [
            threading.Thread(target=self._session, args=(f"steady-{index}", index % 2 == 0))
            for index in range(self.sessions)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            for thread in threads:
                thread.join()

    def wait_for(self, count: int, limit_s: float = 300) -> None:
        """Returns when so many requests are done."""
        deadline_s = time.monotonic() + limit_s
        while len(self.outcomes) < count:
            assert time.monotonic() < deadline_s, f"{len(self.outcomes)} of {count} requests in {limit_s} s"
            time.sleep(0.1)

    @property
    def faults(self) -> Counter[str]:
        """What went wrong, and how often."""
        return Counter(outcome.fault for outcome in self.outcomes if outcome.fault)

    @property
    def streams(self) -> int:
        """How many requests were streams."""
        return sum(outcome.stream for outcome in self.outcomes)

    def _session(self, name: str, stream: bool) -> None:
        while not self._stopped.is_set() and len(self.outcomes) < MOST_REQUESTS:
            began_s = time.monotonic()
            fault = ask(self.endpoint, self.key, self.model, name, stream=stream)
            self.outcomes.append(Outcome(name, stream, began_s, time.monotonic() - began_s, fault))
            stream = not stream
            self._stopped.wait(self.think_s)


def ask(endpoint: str, key: str, model: str, session: str, *, stream: bool, tokens: int = TOKENS) -> str:
    """One request that asks for exactly so many tokens; "" when they all came, else what happened instead."""
    return _ask(endpoint, key, model, session, stream=stream, tokens=tokens)[0]


def replica_of(endpoint: str, key: str, model: str, session: str) -> str:
    """Which replica answers the session now, as the gateway says."""
    fault, replica = _ask(endpoint, key, model, session, stream=False, tokens=1)
    assert fault == ""
    return replica


def _ask(endpoint: str, key: str, model: str, session: str, *, stream: bool, tokens: int) -> tuple[str, str]:
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": f"{session} asks"}],
        "max_tokens": tokens,
        "ignore_eos": True,
        "stream": stream,
    }
    url = urlsplit(endpoint)
    connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=REQUEST_LIMIT_S)
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {key}",
        "X-Session-Id": session,
    }
    try:
        connection.request("POST", f"{url.path}/chat/completions", json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}", ""
    finally:
        connection.close()
    if answer.status != 200:
        return f"status {answer.status}: {text[:200]}", ""
    fault = _stream_fault(text) if stream else _answer_fault(text, tokens)
    return fault, answer.headers.get("X-Fleet-Replica", "")


def _answer_fault(text: str, tokens: int) -> str:
    came = json.loads(text)["usage"]["completion_tokens"]
    return "" if came == tokens else f"{came} of {tokens} tokens"


def _stream_fault(text: str) -> str:
    events = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
    if events[-1:] != ["[DONE]"]:
        return "cut: the stream has no end"
    reasons = [choice["finish_reason"] for event in events[:-1] for choice in json.loads(event)["choices"]]
    return "" if reasons[-1:] == ["length"] else f"cut: it ended for the reasons {reasons[-1:]}"
