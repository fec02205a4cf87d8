"""A stand-in for an engine's OpenAI-compatible API, for tests of what stands before it: it answers at once, streams in
two parts that a test can hold apart, and dies when told to. The real engine is proven elsewhere.

What a request's body asks for beyond OpenAI's API: `hold` (wait for `release`: a stream after its first part, another
answer before its first byte), `drop` (read the request whole, then close the connection without a word).
An engine whose `context_is_short` refuses every request as too long.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

LIMIT_S = 30.0
_FIRST = b'data: {"choices": [{"delta": {"content": "one"}}]}\n\n'
_TOO_LONG = (
    "This model's maximum context length is 2048 tokens. However, your prompt contains at least 2049 input tokens, "
    "which exceeds this limit even without any output tokens. Please reduce the length of the input prompt."
)
"""As vLLM 0.32.0 says it."""

_REST = b'data: {"choices": [{"delta": {"content": " two"}}]}\n\ndata: [DONE]\n\n'


@dataclass(frozen=True)
class Asked:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body_bytes: int


class StandInEngine:
    """One engine at an address; `start` listens, `kill` resets every connection."""

    def __init__(self, address: str, port: int) -> None:
        """At this address; port 0 picks one at the first start."""
        self.address, self.port = address, port
        self.asked: list[Asked] = []
        self.held = self.cancelled = 0
        self.context_is_short = False
        self._changed = threading.Condition()
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._released = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def start(self) -> None:
        """Listen."""
        self._on_loop(self._listen())

    def kill(self) -> None:
        """As kill -9 does: nobody listens any more, and every connection is reset."""
        self._on_loop(self._reset())

    def close(self) -> None:
        """Kill it for good."""
        self.kill()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(LIMIT_S)
        self._loop.close()

    def release(self) -> None:
        """Let everything that is held go on, and hold what comes later again."""
        self._on_loop(self._release())

    def wait_until_held(self, requests: int) -> None:
        """Until so many requests are held."""
        self._wait(lambda: self.held >= requests, f"{requests} held requests, there are {self.held}")

    def wait_until_cancelled(self, requests: int) -> None:
        """Until so many held requests were given up by the other side."""
        self._wait(lambda: self.cancelled >= requests, f"{requests} cancelled requests")

    def _wait(self, holds: Any, what: str) -> None:
        with self._changed:
            assert self._changed.wait_for(holds, LIMIT_S), f"{self.address}:{self.port}: not in time: {what}"

    def _on_loop(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(LIMIT_S)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.address, self.port, backlog=2048)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _reset(self) -> None:
        if self._server:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _release(self) -> None:
        self._released.set()
        self._released = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._answer_one(reader, writer):
                pass
        self._writers.discard(writer)
        writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        if path == "/health":
            await _send(writer, b"", "text/plain")
            return False
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        asked = json.loads(body or b"{}")
        with self._changed:
            self.asked.append(Asked(method, path, headers, len(body)))
            self._changed.notify_all()
        if asked.get("drop"):
            return False
        await self._answer(reader, writer, asked)
        return True

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: Mapping[str, Any]
    ) -> None:
        if self.context_is_short:
            error = {"message": _TOO_LONG, "type": "BadRequestError", "param": "input_tokens", "code": 400}
            said = json.dumps({"error": error}).encode()
            return await _send(writer, said, "application/json", "400 Bad Request")
        if not asked.get("stream"):
            await self._hold(reader, asked)
            choice = {"index": 0, "message": {"role": "assistant", "content": "one"}, "finish_reason": "stop"}
            whole = {
                "object": "chat.completion",
                "model": asked.get("model"),
                "served_by": self.port,
                "choices": [{**choice, "text": "one"}],
            }
            return await _send(writer, json.dumps(whole).encode(), "application/json")
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        await _send_part(writer, _FIRST)
        await self._hold(reader, asked)
        await _send_part(writer, _REST)
        writer.write(b"0\r\n\r\n")
        return await writer.drain()

    async def _hold(self, reader: asyncio.StreamReader, asked: Mapping[str, Any]) -> None:
        """Wait for the release, or for the other side's end, which ends this connection."""
        if not asked.get("hold"):
            return
        self._count(held=1)
        released = asyncio.ensure_future(self._released.wait())
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait((released, gone), return_when=asyncio.FIRST_COMPLETED)
            if gone.done():
                self._count(cancelled=1)
                raise ConnectionResetError
        finally:
            self._count(held=-1)
            released.cancel()
            gone.cancel()
            await asyncio.gather(released, gone, return_exceptions=True)

    def _count(self, held: int = 0, cancelled: int = 0) -> None:
        with self._changed:
            self.held += held
            self.cancelled += cancelled
            self._changed.notify_all()


async def _send(writer: asyncio.StreamWriter, body: bytes, kind: str, status: str = "200 OK") -> None:
    writer.write(
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    )
    await writer.drain()


async def _send_part(writer: asyncio.StreamWriter, part: bytes) -> None:
    writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
    await writer.drain()


@contextlib.contextmanager
def running(address: str, count: int) -> Iterator[list[StandInEngine]]:
    """So many engines at free ports of this address; all are gone at the end of the block."""
    engines = [StandInEngine(address, 0) for _ in range(count)]
    try:
        for engine in engines:
            engine.start()
        yield engines
    finally:
        for engine in engines:
            engine.close()
