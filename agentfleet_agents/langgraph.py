"""LangGraph's checkpoints in the fleet's store: ValkeySaver, which needs no module there, with its traps closed.

    with open_saver(fleet_settings()) as saver:
        graph = builder.compile(checkpointer=saver)
        graph.invoke(question, {"configurable": {"thread_id": session}}, durability=settings.durability)

Where the server has the modules JSON and Search, RedisSaver works too: give it `redis_url` and durability="sync", since
with "async" it runs finished tasks again on a resume (55 of 100 runs, langgraph-checkpoint-redis 0.5.2).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple, get_checkpoint_id
from langgraph_checkpoint_aws import AsyncValkeySaver, ValkeySaver

from agentfleet_agents.clients import strict_async_client, strict_client
from agentfleet_agents.errors import StateDamaged
from agentfleet_agents.settings import FleetSettings, fleet_settings

_EXPIRES_NOW_MS = 2000
"""A session this near to its end may lose its checkpoint between two looks."""

_BATCH = 500


class StrictValkeySaver(ValkeySaver):
    """A failed read is an error, and so is a session without its newest checkpoint; deleting looks through no keys."""

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint, None for a session that the store does not know.

        Raises StateUnavailable and StateDamaged.
        """
        found = super().get_tuple(config)
        if found is None and not get_checkpoint_id(config):
            thread, key = _thread(self, config)
            _refuse_headless(thread, self.client.pttl(key))
        return found

    def delete_thread(self, thread_id: str) -> None:
        """Delete a session with its subgraphs, by SCAN: the inherited one uses KEYS, which stops the whole server."""
        for family in _families(thread_id):
            batch: list[bytes] = []
            for key in self.client.scan_iter(match=family, count=_BATCH):
                batch.append(key)
                if len(batch) == _BATCH:
                    self.client.unlink(*batch)
                    batch.clear()
            if batch:
                self.client.unlink(*batch)


class StrictAsyncValkeySaver(AsyncValkeySaver):
    """The same for asyncio."""

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As StrictValkeySaver.get_tuple."""
        found = await super().aget_tuple(config)
        if found is None and not get_checkpoint_id(config):
            thread, key = _thread(self, config)
            _refuse_headless(thread, await self.client.pttl(key))
        return found

    async def adelete_thread(self, thread_id: str) -> None:
        """As StrictValkeySaver.delete_thread."""
        for family in _families(thread_id):
            keys = [key async for key in self.client.scan_iter(match=family, count=_BATCH)]
            for start in range(0, len(keys), _BATCH):
                await self.client.unlink(*keys[start : start + _BATCH])


@contextmanager
def open_saver(settings: FleetSettings | None = None) -> Iterator[StrictValkeySaver]:
    """The saver of the fleet's store, safe for threads; its connections are closed with the block."""
    chosen = settings or fleet_settings()
    client = strict_client(chosen)
    try:
        yield StrictValkeySaver(client, ttl=chosen.state_ttl_s)
    finally:
        client.connection_pool.disconnect()


@asynccontextmanager
async def open_async_saver(settings: FleetSettings | None = None) -> AsyncIterator[StrictAsyncValkeySaver]:
    """The same for asyncio."""
    chosen = settings or fleet_settings()
    client = strict_async_client(chosen)
    try:
        yield StrictAsyncValkeySaver(client, ttl=chosen.state_ttl_s)
    finally:
        await client.aclose()
        await client.connection_pool.disconnect()


def _thread(saver: Any, config: RunnableConfig) -> tuple[str, str]:
    """The session's name and the key of its list of checkpoints."""
    configurable = config.get("configurable", {})
    thread = str(configurable["thread_id"])
    return thread, saver._make_thread_key(thread, configurable.get("checkpoint_ns", ""))


def _refuse_headless(thread: str, left_ms: int) -> None:
    """`left_ms` is what PTTL says of the session's list: -2 where there is none, -1 where it never ends."""
    if left_ms == -1 or left_ms > _EXPIRES_NOW_MS:
        raise StateDamaged(f"session {thread}: its newest checkpoint is missing or cannot be read")


def _families(thread_id: str) -> tuple[str, ...]:
    """Patterns of all keys of one session; what a pattern would read in its name is escaped."""
    literal = "".join(f"\\{letter}" if letter in "*?[]\\" else letter for letter in thread_id)
    return tuple(f"{family}:{{{literal}}}:*" for family in ("thread", "checkpoint", "writes"))
