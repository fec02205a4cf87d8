"""A stand-in for a replica that answers at once: streams of chat completions whose first chunk needs no time at all.

    python -m bench.gateway.instant_upstream PORT... --chunks 10 --interval-s 1

Each port is a replica. A request with `"stream": true` gets its first chunk in the same write as the headers and the
others at the interval; any other gets one JSON answer. A chunk's content is this computer's monotonic clock in
nanoseconds when it was sent, so that a reader on the same computer knows how long each was on its way. It must cost
next to nothing, or its own work would stand in the figures: a protocol on asyncio's loop, no framework.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import time
from dataclasses import dataclass

CHUNK = (
    b'data: {"id":"chatcmpl-stand-in","object":"chat.completion.chunk","created":0,"model":"stand-in",'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"%d"},"finish_reason":null}]}\n\n'
)
DONE = b"data: [DONE]\n\n"
ANSWER = (
    b'{"id":"chatcmpl-stand-in","object":"chat.completion","created":0,"model":"stand-in",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"%d"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
)
MODELS = b'{"object":"list","data":[{"id":"stand-in","object":"model","created":0,"owned_by":"agentfleet"}]}'
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nX-Replica: %s\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
PLAIN_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Replica: %s\r\nContent-Length: %d\r\n\r\n"
)
BACKLOG = 4096


@dataclass(frozen=True)
class Pace:
    """Chunks of a stream, the first included, and the seconds between two."""

    chunks: int
    interval_s: float


class Connection(asyncio.Protocol):
    """One client's connection: request after request, one at a time."""

    def __init__(self, name: bytes, pace: Pace) -> None:
        self._name = name
        self._pace = pace
        self._received = bytearray()
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        end_of_head = self._received.find(b"\r\n\r\n")
        if end_of_head < 0:
            return
        head = bytes(self._received[:end_of_head])
        end = end_of_head + 4 + _content_length(head)
        if len(self._received) < end:
            return
        body = self._received[end_of_head + 4 : end]
        if b'"stream": true' in body or b'"stream":true' in body:
            self._transport.write(STREAM_HEAD % self._name + self._chunk())
            self._continue_later(self._pace.chunks - 1)
        else:
            text = MODELS if head.startswith(b"GET ") else ANSWER % time.monotonic_ns()
            self._transport.write(PLAIN_HEAD % (self._name, len(text)) + text)
        del self._received[:end]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio gives it
        if self._timer:
            self._timer.cancel()

    def _continue_later(self, left: int) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._pace.interval_s, self._continue, left)

    def _continue(self, left: int) -> None:
        if left:
            self._transport.write(self._chunk())
            self._continue_later(left - 1)
        else:
            self._transport.write(_frame(DONE) + b"0\r\n\r\n")

    @staticmethod
    def _chunk() -> bytes:
        return _frame(CHUNK % time.monotonic_ns())


def _frame(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def serve(ports: list[int], pace: Pace) -> None:
    """Listens at 127.0.0.1 until the process is ended."""
    loop = asyncio.get_running_loop()
    for port in ports:
        name = b"stand-in-%d" % port
        await loop.create_server(lambda name=name: Connection(name, pace), "127.0.0.1", port, backlog=BACKLOG)
    print("ready", flush=True)
    gc.freeze()
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ports", nargs="+", type=int)
    parser.add_argument("--chunks", type=int, required=True)
    parser.add_argument("--interval-s", type=float, required=True)
    given = parser.parse_args()
    asyncio.run(serve(given.ports, Pace(given.chunks, given.interval_s)))


if __name__ == "__main__":
    main()
