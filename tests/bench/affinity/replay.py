"""Replays a trace against a router: each session asks its turns one after another and thinks in between.

Bounded by the trace: as many requests as it has turns, and each ends within ANSWER_LIMIT_S.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.affinity.routers import Router
from bench.affinity.trace import Session

ANSWER_LIMIT_S = 120
HEAD_LIMIT = 1 << 20


@dataclass(frozen=True)
class Asking:
    """What all requests of a replay have in common. `salt` keeps candidates from each other's prompts in the cache."""

    model: str
    key: str
    max_tokens: int
    salt: str = ""


@dataclass
class Answer:
    """One turn as its client saw it; `replica` is empty where nobody said who answered."""

    session: str
    turn: int
    replica: str = ""
    first_token_s: float = 0.0
    total_s: float = 0.0
    prompt_tokens: int = 0
    error: str = ""


async def replay(sessions: Sequence[Session], router: Router, asking: Asking) -> list[Answer]:
    """Every turn's answer; those of one session in order."""
    begun = time.monotonic()
    of_sessions = await asyncio.gather(*(_converse(session, router, asking, begun) for session in sessions))
    return [answer for answers in of_sessions for answer in answers]


async def _converse(session: Session, router: Router, asking: Asking, begun: float) -> list[Answer]:
    await asyncio.sleep(max(0.0, begun + session.start_s - time.monotonic()))
    answers = []
    for number, turn in enumerate(session.turns):
        await asyncio.sleep(turn.think_s)
        answers.append(await ask(session, number, router.address_for(session.key), asking))
    router.forget(session.key)
    return answers


async def ask(session: Session, turn: int, address: str, asking: Asking) -> Answer:
    """One turn."""
    answer = Answer(session.key, turn)
    begun = time.monotonic()
    try:
        async with asyncio.timeout(ANSWER_LIMIT_S):
            await _stream(_request(session, turn, address, asking), address, answer, begun)
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
        answer.error = f"{type(error).__name__}: {error}"
    answer.total_s = time.monotonic() - begun
    return answer


def _request(session: Session, turn: int, address: str, asking: Asking) -> bytes:
    messages = session.messages(turn)
    messages[0]["content"] = asking.salt + messages[0]["content"]
    body = json.dumps(
        {
            "model": asking.model,
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": asking.max_tokens,
            "ignore_eos": True,
            "temperature": 0,
            "messages": messages,
        }
    ).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {asking.key}\r\n"
        f"X-Session-Id: {session.key}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body


async def _stream(request: bytes, address: str, answer: Answer, begun: float) -> None:
    """Reads events, whether they come in chunks or up to the connection's end: sizes of chunks look like no event."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=HEAD_LIMIT)
    try:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, headers = _parse_head(head)
        answer.replica = headers.get("x-replica") or headers.get("x-fleet-replica", "")
        if status != 200:
            raise ValueError(f"status {status}: {(await reader.read(300)).decode(errors='replace')}")
        async for line in reader:
            if not line.startswith(b"data: "):
                continue
            answer.first_token_s = answer.first_token_s or time.monotonic() - begun
            if line.startswith(b"data: [DONE]"):
                await reader.read()  # to the end: a client that hangs up before it would count as gone
                return
            if b'"usage":' in line and (usage := json.loads(line[6:]).get("usage")):
                answer.prompt_tokens = usage["prompt_tokens"]
        raise ValueError("the stream was cut")
    finally:
        writer.close()


def _parse_head(head: str) -> tuple[int, dict[str, str]]:
    first, *lines = head.split("\r\n")
    fields = (line.partition(":") for line in lines if line)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in fields}
