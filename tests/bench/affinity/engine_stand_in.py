"""A stand-in for vLLM with vLLM's limits and none of its work: slots, a queue, a prefix cache that evicts, and time.

    python -m bench.affinity.engine_stand_in PORT... --model '{"max_num_seqs": 8, …}'

Each port is a replica. A request waits for one of `max_num_seqs` places, in the order of arrival. Then those tokens of
its prompt that are not in the prefix cache take `prefill_tokens_per_s`, one prompt after another, since the GPU is one;
then each token of the answer takes `s_per_token`, beside all others. The cache holds `kv_tokens` in blocks, of which
the least recently used goes first. A word is a token. Results depend on where requests are sent, not on the speed of
this computer.

The counters at /metrics are called as vLLM calls them.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

BLOCK_TOKENS = 16
TOKENS_IN_A_CHUNK = 8
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nX-Replica: {name}\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class EngineModel:
    """What one replica can do."""

    max_num_seqs: int
    prefill_tokens_per_s: float
    s_per_token: float
    kv_tokens: int


class PrefixCache:
    """Blocks of prompts by the digest of all that stands before them; the least recently used goes first."""

    def __init__(self, kv_tokens: int) -> None:
        self._most_blocks = kv_tokens // BLOCK_TOKENS
        self._blocks: OrderedDict[bytes, None] = OrderedDict()
        self.queried_tokens = self.hit_tokens = 0

    def take(self, tokens: Sequence[str]) -> int:
        """Tokens of the prompt that were known, of whole blocks before its last token; from now on all are."""
        digests = _digests(tokens)
        usable = (len(tokens) - 1) // BLOCK_TOKENS
        known = next((n for n, digest in enumerate(digests[:usable]) if digest not in self._blocks), usable)
        for digest in reversed(digests):  # the beginning of a prompt is what the next turn needs first
            self._blocks[digest] = None
            self._blocks.move_to_end(digest)
        while len(self._blocks) > self._most_blocks:
            self._blocks.popitem(last=False)
        self.queried_tokens += len(tokens)
        self.hit_tokens += known * BLOCK_TOKENS
        return known * BLOCK_TOKENS


def _digests(tokens: Sequence[str]) -> list[bytes]:
    running = hashlib.blake2b(digest_size=16)
    digests = []
    for end in range(BLOCK_TOKENS, len(tokens) + 1, BLOCK_TOKENS):
        running.update(" ".join(tokens[end - BLOCK_TOKENS : end]).encode())
        digests.append(running.digest())
    return digests


class Engine:
    """One replica."""

    def __init__(self, name: str, model: EngineModel) -> None:
        self._name = name
        self._model = model
        self._places = asyncio.Semaphore(model.max_num_seqs)
        self._gpu = asyncio.Lock()
        self._cache = PrefixCache(model.kv_tokens)
        self._running = self._waiting = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request on a connection of its own."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(
                (int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")),
                0,
            )
            body = await reader.readexactly(length)
            if head.startswith("POST "):
                await self._generate(json.loads(body), writer)
            else:
                writer.write((HEAD.format(kind="text/plain", name=self._name) + self._metrics()).encode())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went away
        finally:
            writer.close()

    async def _generate(self, asked: dict[str, object], writer: asyncio.StreamWriter) -> None:
        tokens = " ".join(message["content"] for message in asked["messages"]).split()  # type: ignore[attr-defined]
        self._waiting += 1
        async with self._places:
            self._waiting -= 1
            self._running += 1
            try:
                async with self._gpu:
                    fresh = len(tokens) - self._cache.take(tokens)
                    await asyncio.sleep(fresh / self._model.prefill_tokens_per_s)
                writer.write(HEAD.format(kind="text/event-stream", name=self._name).encode())
                await self._decode(int(asked["max_tokens"]), len(tokens), writer)  # type: ignore[call-overload]
            finally:
                self._running -= 1

    async def _decode(self, answer_tokens: int, prompt_tokens: int, writer: asyncio.StreamWriter) -> None:
        for left in range(answer_tokens, 0, -TOKENS_IN_A_CHUNK):
            writer.write(_event({"choices": [{"index": 0, "delta": {"content": "word "}}]}))
            await writer.drain()
            await asyncio.sleep(min(left, TOKENS_IN_A_CHUNK) * self._model.s_per_token)
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": answer_tokens}
        writer.write(_event({"choices": [], "usage": usage}) + b"data: [DONE]\n\n")
        await writer.drain()

    def _metrics(self) -> str:
        values = {
            "vllm:prefix_cache_queries_total": self._cache.queried_tokens,
            "vllm:prefix_cache_hits_total": self._cache.hit_tokens,
            "vllm:num_requests_running": self._running,
            "vllm:num_requests_waiting": self._waiting,
        }
        return "".join(f'{name}{{model_name="stand-in"}} {value}\n' for name, value in values.items())


def _event(value: object) -> bytes:
    return f"data: {json.dumps(value)}\n\n".encode()


async def serve(ports: Sequence[int], model: EngineModel) -> None:
    """Listens at 127.0.0.1 until the process is ended."""
    for port in ports:
        await asyncio.start_server(
            Engine(f"127.0.0.1:{port}", model).answer, "127.0.0.1", port, limit=1 << 22, backlog=1024
        )
    print("ready", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ports", nargs="+", type=int)
    parser.add_argument("--model", type=json.loads, required=True, help="the fields of EngineModel as JSON")
    given = parser.parse_args()
    asyncio.run(serve(given.ports, EngineModel(**given.model)))


if __name__ == "__main__":
    main()
