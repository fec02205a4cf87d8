"""Serves the provider. Errors reach the operator as the sentences they are; the stock servicer adds tracebacks."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf import any_pb2
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from provisioning.errors import ProvisioningError
from provisioning.provider.provider import FleetProvider
from provisioning.provider.resource import CreatedButFailed
from provisioning.provider.values import from_plain, to_plain

ServicerContext = grpc.aio.ServicerContext[Any, Any]

VERSION = "0.1.0"
_FINISH_S = 3600.0
_VERBS = ("Check", "Diff", "Create", "Read", "Update", "Delete")


class Servicer(ProviderServicer):
    """The stock servicer, with every verb's error turned into one sentence."""

    def __init__(self, provider: FleetProvider, engine_address: str) -> None:
        super().__init__([], VERSION, provider, engine_address)
        self._fleet = provider

    async def fail(self, error: BaseException, request: Any, context: ServicerContext) -> None:
        """End the call with the error's sentence; a failed create or update keeps its place in the state."""
        original = error.__context__ if error.__context__ is not None else error
        if isinstance(original, CreatedButFailed):
            await self._fail_but_keep(original, request, context)
        if isinstance(original, ProvisioningError):
            await context.abort(grpc.StatusCode.UNKNOWN, str(original))
        # Not one of ours, so a bug: its place is what a report needs, and goes to the provider's log, not the screen.
        sys.stderr.write("".join(traceback.format_exception(original)))
        sentence = f"the fleet provider failed unexpectedly: {type(original).__name__}: {original}"
        await context.abort(grpc.StatusCode.INTERNAL, sentence)

    async def _fail_but_keep(self, error: CreatedButFailed, request: Any, context: ServicerContext) -> None:
        inputs = request.news if isinstance(request, provider_pb2.UpdateRequest) else request.properties
        plain_inputs = to_plain(PropertyValue.unmarshal_map(inputs))
        detail = provider_pb2.ErrorResourceInitFailed(
            id=self._fleet.identify(request.urn, plain_inputs),
            reasons=[error.reason],
            properties=PropertyValue.marshal_map(from_plain(error.properties)),
            inputs=PropertyValue.marshal_map(from_plain(plain_inputs)),
        )
        packed = any_pb2.Any()
        packed.Pack(detail)
        status = status_pb2.Status(
            code=grpc.StatusCode.UNKNOWN.value[0], message=error.reason, details=[packed]
        )
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
        await context.abort(grpc.StatusCode.UNKNOWN, error.reason)


def _plainly(verb: str) -> Callable[..., Awaitable[Any]]:
    stock = getattr(ProviderServicer, verb)

    async def call(self: Servicer, request: Any, context: ServicerContext) -> Any:
        try:
            return await stock(self, request, context)
        except Exception as error:
            await self.fail(error, request, context)

    return call


for _verb in _VERBS:
    setattr(Servicer, _verb, _plainly(_verb))


def serve(engine_address: str) -> None:
    """Serve until the engine that started us ends."""
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    asyncio.run(_serve(engine_address))


async def _serve(engine_address: str) -> None:
    server = grpc.aio.server(options=_GRPC_CHANNEL_OPTIONS)
    provider = FleetProvider(engine_address)
    servicer = Servicer(provider, engine_address)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    # The engine's way to say that it is done with us, and what a terminal's Ctrl-C would send: what runs is finished.
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(
            number, lambda: asyncio.ensure_future(server.stop(_FINISH_S))
        )
    await server.wait_for_termination()
    provider.close()


def _end_with_parent(parent: int) -> None:
    """A killed engine cannot tell us to end; without it nobody records what we do."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
