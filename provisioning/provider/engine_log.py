"""Lines for the operator while something takes long, on the resource's own line of Pulumi's display."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import cast

import grpc
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc

EVERY_S = 0.5
"""No more than this often: the display redraws for every line."""


class EngineLog:
    """Sends lines to the engine that started the provider; a line that cannot be sent is dropped."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stub: engine_pb2_grpc.EngineStub | None = None

    def progress(self, urn: str) -> Callable[[str], None]:
        """A function that shows a passing line for `urn`."""
        self._remember_loop()
        last_at, last = 0.0, ""

        def show(message: str) -> None:
            nonlocal last_at, last
            now = time.monotonic()
            if message != last and now - last_at >= EVERY_S:
                last_at, last = now, message
                self._send(urn, message, engine_pb2.INFO, ephemeral=True)

        return show

    def warning(self, urn: str) -> Callable[[str], None]:
        """A function that shows a warning for `urn` that stays on the screen."""
        self._remember_loop()
        return lambda message: self._send(urn, message, engine_pb2.WARNING, ephemeral=False)

    def _remember_loop(self) -> None:
        self._loop = asyncio.get_running_loop()

    def _send(
        self, urn: str, message: str, severity: engine_pb2.LogSeverity.ValueType, *, ephemeral: bool
    ) -> None:
        request = engine_pb2.LogRequest(severity=severity, message=message, urn=urn, ephemeral=ephemeral)
        if self._loop is not None:
            asyncio.run_coroutine_threadsafe(self._log(request), self._loop)

    async def _log(self, request: engine_pb2.LogRequest) -> None:
        if self._stub is None:
            self._stub = engine_pb2_grpc.EngineStub(grpc.aio.insecure_channel(self._address))
        with contextlib.suppress(grpc.RpcError):
            await cast("Awaitable[object]", self._stub.Log(request))
