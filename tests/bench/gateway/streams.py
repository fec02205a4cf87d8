"""Load: new streams at a steady rate, whatever became of the earlier ones, so that a fixed number is open at once.

    python -m bench.gateway.streams '{"address": "127.0.0.1:8080", "open_streams": 1000, "stream_s": 10, …}'

The rate is `open_streams / stream_s`: a stream that the upstream holds open for `stream_s` has that many beside it. The
first `stream_s` fill up and do not count; then the measured streams follow for `for_s`; then all are dropped. Every
stream has a connection and a session of its own. Prints what `Figures` holds as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

REQUEST = (
    "POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n"
    "X-Session-Id: {session}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
)
BODY = '{{"model": "stand-in", "stream": true, "messages": [{{"role": "user", "content": "{prompt}"}}]}}'
MARK = b'"content":"'
SETTLE_S = 1.0
"""What the last measured streams get to show their first chunk."""


@dataclass(frozen=True)
class Load:
    """What is asked of one candidate; the prompt's size is in bytes."""

    address: str
    key: str
    open_streams: int
    stream_s: float
    for_s: float
    prompt_bytes: int
    seed: str


@dataclass(frozen=True)
class Figures:
    """What the measured streams saw, in milliseconds: samples, so that rounds can be put together.

    `errors` are streams that were refused, broken off before their first chunk, or not answered when the load ended.
    `late_ms` is how much later than planned the generator itself began a stream: the error of this measurement.
    """

    connect_ms: list[float]
    first_chunk_ms: list[float]
    chunk_ms: list[float]
    late_ms: list[float]
    asked: int
    errors: int
    cut: int
    most_open: int
    cpu_s: float


class Stream(asyncio.Protocol):
    """One request on a connection of its own."""

    def __init__(self, run: Run, request: bytes, begun_ns: int, *, counts: bool) -> None:
        self._run = run
        self._request = request
        self._counts = counts
        self._seen = b""
        self._has_begun = False
        self._is_done = False
        self._begun_ns = begun_ns

    @property
    def is_unanswered(self) -> bool:
        """Whether it counts and has no chunk yet."""
        return self._counts and not self._has_begun

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._connected_ns = time.monotonic_ns()
        transport.write(self._request)
        self._run.opened(self)

    def data_received(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        self._seen += data
        if not self._has_begun:
            if not self._seen.startswith(b"HTTP/1.1 200"):
                return self.transport.abort()
            at = self._seen.find(MARK)
            if at < 0:
                return None
            self._has_begun = True
            if self._counts:
                self._run.connect_ns.append(self._connected_ns - self._begun_ns)
                self._run.first_chunk_ns.append(now_ns - self._begun_ns)
        self._read_stamps(now_ns)
        if self._seen.endswith(b"0\r\n\r\n") or b"[DONE]" in self._seen:
            self._is_done = True
            self.transport.abort()
        return None

    def _read_stamps(self, now_ns: int) -> None:
        """Each chunk says when it was sent; what is read is dropped, up to the last whole stamp."""
        begin = 0
        while (at := self._seen.find(MARK, begin)) >= 0:
            end = self._seen.find(b'"', at + len(MARK))
            if end < 0:
                break
            if self._counts:
                self._run.chunk_ns.append(now_ns - int(self._seen[at + len(MARK) : end]))
            begin = end
        self._seen = self._seen[max(begin, len(self._seen) - 600) :] if begin else self._seen

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio gives it
        self._run.closed(self, counts=self._counts, has_begun=self._has_begun, is_done=self._is_done)


class Run:
    """All streams of one load, and what they saw."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._open: set[Stream] = set()
        self._is_over = False
        self.connect_ns: list[int] = []
        self.first_chunk_ns: list[int] = []
        self.chunk_ns: list[int] = []
        self._late_ns: list[int] = []
        self._asked = self._errors = self._cut = self._most_open = 0

    async def measure(self) -> Figures:
        """Opens all streams in time and says what became of them."""
        load = self._load
        await self._open_evenly(load.open_streams, load.stream_s, counts=False)
        cpu_s = time.process_time()
        rate = load.open_streams / load.stream_s
        await self._open_evenly(round(rate * load.for_s), load.for_s, counts=True)
        cpu_s = time.process_time() - cpu_s
        await asyncio.sleep(SETTLE_S)
        self._is_over = True
        unanswered = sum(stream.is_unanswered for stream in self._open)
        for stream in list(self._open):
            stream.transport.abort()
        await asyncio.sleep(0)
        return Figures(
            connect_ms=_ms(self.connect_ns),
            first_chunk_ms=_ms(self.first_chunk_ns),
            chunk_ms=_ms(self.chunk_ns),
            late_ms=_ms(self._late_ns),
            asked=self._asked,
            errors=self._errors + unanswered,
            cut=self._cut,
            most_open=self._most_open,
            cpu_s=round(cpu_s, 3),
        )

    def opened(self, stream: Stream) -> None:
        self._open.add(stream)
        self._most_open = max(self._most_open, len(self._open))

    def closed(self, stream: Stream, *, counts: bool, has_begun: bool, is_done: bool) -> None:
        self._open.discard(stream)
        if counts and not self._is_over and not is_done:
            self._errors += not has_begun
            self._cut += has_begun

    async def _open_evenly(self, streams: int, within_s: float, *, counts: bool) -> None:
        begun = time.monotonic()
        waiting: set[asyncio.Task[None]] = set()
        for index in range(streams):
            planned = begun + index * within_s / streams
            if (ahead := planned - time.monotonic()) > 0:
                await asyncio.sleep(ahead)
            if counts:
                self._asked += 1
                self._late_ns.append(round((time.monotonic() - planned) * 1e9))
            task = asyncio.create_task(self._connect(f"{self._load.seed}-{counts:d}-{index}", counts))
            waiting.add(task)
            task.add_done_callback(waiting.discard)

    async def _connect(self, session: str, counts: bool) -> None:
        load = self._load
        host, _, port = load.address.rpartition(":")
        body = BODY.format(prompt="x" * load.prompt_bytes)
        head = REQUEST.format(address=load.address, key=load.key, session=session, length=len(body))
        request = (head + body).encode()
        begun_ns = time.monotonic_ns()
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: Stream(self, request, begun_ns, counts=counts), host, int(port)
            )
        except OSError:
            self._errors += counts


def _ms(samples_ns: Sequence[int]) -> list[float]:
    return [round(value / 1e6, 4) for value in samples_ns]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("load", type=json.loads, help="the fields of Load as JSON")
    load = Load(**parser.parse_args().load)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.disable()  # a load lasts half a minute; its pauses would be read as the gateway's
    print(json.dumps(asdict(asyncio.run(Run(load).measure()))))


if __name__ == "__main__":
    main()
