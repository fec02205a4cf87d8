"""Clients of the store that try again, wait for a free connection, and name what went wrong.

ValkeySaver (langgraph-checkpoint-aws 1.2.6) takes every error of its client for "there is no such session": after a
failed read it goes on with an empty conversation, and the next write makes that the session's head. So errors leave
these clients as StateUnavailable, which it does not catch. Its own pool refuses the eleventh thread; these wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from valkey import BlockingConnectionPool, Valkey
from valkey import asyncio as aio
from valkey.asyncio.client import Pipeline as AsyncPipeline
from valkey.asyncio.retry import Retry as AsyncRetry
from valkey.asyncio.sentinel import MasterNotFoundError as AsyncMasterNotFoundError
from valkey.asyncio.sentinel import Sentinel as AsyncSentinel
from valkey.backoff import ExponentialBackoff
from valkey.client import Pipeline
from valkey.connection import parse_url
from valkey.exceptions import ConnectionError as LostConnection
from valkey.exceptions import ReadOnlyError, ResponseError, ValkeyError, WatchError
from valkey.exceptions import TimeoutError as TimedOut
from valkey.retry import Retry
from valkey.sentinel import MasterNotFoundError, Sentinel

from agentfleet_agents import patience
from agentfleet_agents.errors import StateUnavailable
from agentfleet_agents.settings import FleetSettings, Sentinels, sentinel_options

_PASSING = (LostConnection, TimedOut, ReadOnlyError, OSError)
"""What a restart or a failover causes. OSError is a refused connection, which the client library itself never retries:
with its own settings a restart costs every turn that needs a new connection."""

_NO_PRIMARY = (MasterNotFoundError, AsyncMasterNotFoundError)


class StrictValkey(Valkey):
    """A client whose errors are StateUnavailable."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """One command."""
        return _patiently(partial(super().execute_command, *args, **options))

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """Commands in one go, under the same rule."""
        return _StrictPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class _StrictPipeline(Pipeline):
    command_stack: list[Any]

    def execute(self, raise_on_error: bool = True) -> Any:
        run, commands = partial(super().execute, raise_on_error), list(self.command_stack)

        def once() -> Any:
            self.command_stack = list(commands)
            return run()

        return _patiently(once, watching=self.watching)

    def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        return _patiently(partial(super().immediate_execute_command, *args, **options))


class StrictAsyncValkey(aio.Valkey):
    """The same for asyncio."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """One command."""
        return await _patiently_async(partial(super().execute_command, *args, **options))

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> AsyncPipeline:
        """Commands in one go, under the same rule."""
        return _StrictAsyncPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class _StrictAsyncPipeline(AsyncPipeline):
    command_stack: list[Any]

    async def execute(self, raise_on_error: bool = True) -> Any:
        run, commands = partial(super().execute, raise_on_error), list(self.command_stack)

        async def once() -> Any:
            self.command_stack = list(commands)
            return await run()

        return await _patiently_async(once, watching=self.watching)

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        return await _patiently_async(partial(super().immediate_execute_command, *args, **options))


def strict_client(settings: FleetSettings) -> StrictValkey:
    """A client of the store, or of whichever server is its primary now. It connects when it is first used."""
    patient = {"retry": Retry(_pauses(), patience.RETRIES), "retry_on_error": list(_PASSING)}
    if settings.sentinels:
        asked, options = sentinel_options(settings.valkey_url, parse_url(settings.valkey_url))
        sentinel = Sentinel(list(settings.sentinels.addresses), sentinel_kwargs=asked, **options)
        return sentinel.master_for(settings.sentinels.primary, valkey_class=StrictValkey, **patient)
    pool = BlockingConnectionPool.from_url(settings.valkey_url, **patience.POOL, **patient)
    return StrictValkey(connection_pool=pool)


def strict_async_client(settings: FleetSettings) -> StrictAsyncValkey:
    """The same for asyncio."""
    patient = {"retry": AsyncRetry(_pauses(), patience.RETRIES), "retry_on_error": list(_PASSING)}
    if settings.sentinels:
        asked, options = sentinel_options(settings.valkey_url, parse_url(settings.valkey_url))
        sentinel = AsyncSentinel(list(settings.sentinels.addresses), sentinel_kwargs=asked, **options)
        return sentinel.master_for(settings.sentinels.primary, valkey_class=StrictAsyncValkey, **patient)
    pool = aio.BlockingConnectionPool.from_url(settings.valkey_url, **patience.POOL, **patient)
    return StrictAsyncValkey(connection_pool=pool)


def _patiently(call: Callable[[], Any], watching: bool = False) -> Any:
    """What the call returns, asked again for as long as a failover may take."""
    with _named():
        for pause_s in patience.failover_pauses():
            try:
                return call()
            except (*_NO_PRIMARY, ResponseError) as error:
                _only_for_now(error)
                time.sleep(patience.WATCHING_WAIT_S if watching else pause_s)
                _refuse_unwatched(watching, error)
        return call()


async def _patiently_async(call: Callable[[], Awaitable[Any]], watching: bool = False) -> Any:
    with _named():
        for pause_s in patience.failover_pauses():
            try:
                return await call()
            except (*_NO_PRIMARY, ResponseError) as error:
                _only_for_now(error)
                await asyncio.sleep(patience.WATCHING_WAIT_S if watching else pause_s)
                _refuse_unwatched(watching, error)
        return await call()


@contextmanager
def _named() -> Iterator[None]:
    """A watched key that changed is part of a transaction's play, and no error.

    Of a transaction's error only the store's own words are told: the client library puts the whole command before them,
    and with it what an agent was told.
    """
    try:
        yield
    except WatchError:
        raise
    except _NO_PRIMARY:
        raise StateUnavailable(patience.NO_PRIMARY) from None
    except ValkeyError as error:
        words = str(error).rpartition(" of pipeline caused error: ")[2]
        words = words.strip("()',")  # the asyncio client puts a tuple there
        raise StateUnavailable(f"the state store: {words}") from None


def _only_for_now(error: ValkeyError) -> None:
    """Raises it again unless the store has no primary, or one that wrote nothing because its followers are missing."""
    if not isinstance(error, _NO_PRIMARY) and not patience.is_refused_for_now(error):
        raise error


def _refuse_unwatched(watching: bool, error: ValkeyError) -> None:
    """A transaction that watches keys has lost its watch with the refusal: its caller reads them again."""
    if watching:
        raise WatchError(str(error)) from error


def _pauses() -> ExponentialBackoff:
    return ExponentialBackoff(cap=patience.LONGEST_PAUSE_S, base=patience.FIRST_PAUSE_S)


__all__ = ["Sentinels", "StrictAsyncValkey", "StrictValkey", "strict_async_client", "strict_client"]
