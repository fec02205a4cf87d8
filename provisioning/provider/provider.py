"""Routes the engine's calls to the resource types and keeps what they share."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pulumi.provider.experimental import provider as rpc

from provisioning.converge.ring import Rings
from provisioning.provider.engine_log import EngineLog
from provisioning.provider.host import HostResource
from provisioning.provider.lab_node import LabNodeResource
from provisioning.provider.machines import Machines
from provisioning.provider.resource import Context, Resource
from provisioning.provider.service import ServiceResource
from provisioning.provider.values import Properties, detailed_diff, from_plain, has_unknown, to_plain

THREADS = 64
"""Waiting for an engine to load blocks a thread for minutes, and the engine asks for many resources at once."""


class FleetProvider(rpc.Provider):
    """The provider's half of the engine's protocol."""

    def __init__(self, engine_address: str) -> None:
        self._types: Mapping[str, Resource] = {
            "fleet:index:Host": HostResource(),
            "fleet:index:LabNode": LabNodeResource(),
            "fleet:index:Service": ServiceResource(),
        }
        self._machines = Machines()
        self._rings = Rings()
        self._log = EngineLog(engine_address)
        self._stopped = threading.Event()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="fleet")

    async def check(self, request: rpc.CheckRequest) -> rpc.CheckResponse:
        """Name everything wrong with the inputs before anything is touched."""
        failures = self._type(request.urn).check(to_plain(request.new_inputs))
        return rpc.CheckResponse(
            inputs=request.new_inputs, failures=[rpc.CheckFailure(f.property, f.reason) for f in failures]
        )

    async def diff(self, request: rpc.DiffRequest) -> rpc.DiffResponse:
        """Name each changed place, and whether it needs a new resource; the old one is removed first."""
        resource = self._type(request.urn)
        new = {k: v for k, v in to_plain(request.new_inputs).items() if k not in request.ignore_changes}
        diffs = detailed_diff(to_plain(request.old_state), new, resource.replaced_by)
        replaces = sorted(path for path, diff in diffs.items() if diff.kind.name.endswith("_REPLACE"))
        return rpc.DiffResponse(
            changes=bool(diffs),
            replaces=replaces,
            delete_before_replace=True,
            diffs=sorted({re.split(r"[.\[]", path, maxsplit=1)[0] for path in diffs}),
            detailed_diff=diffs,
        )

    async def create(self, request: rpc.CreateRequest) -> rpc.CreateResponse:
        """Create, or say what would be created."""
        resource, inputs = self._type(request.urn), to_plain(request.properties)
        if request.preview or has_unknown(inputs):
            return rpc.CreateResponse("", from_plain(resource.foresee(inputs, {})))
        properties = await self._in_thread(resource.create, inputs, self._context(request.urn))
        return rpc.CreateResponse(resource.identify(inputs), from_plain(properties))

    async def read(self, request: rpc.ReadRequest) -> rpc.ReadResponse:
        """Read what is really there, as outputs and as inputs, so that a refresh names what drifted."""
        resource, old = self._type(request.urn), to_plain(request.properties)
        found = await self._in_thread(resource.read, old, self._context(request.urn))
        if found is None:
            return rpc.ReadResponse("", {}, {})
        inputs = {key: found[key] for key in to_plain(request.inputs) if key in found}
        return rpc.ReadResponse(request.resource_id, from_plain(found), from_plain(inputs))

    async def update(self, request: rpc.UpdateRequest) -> rpc.UpdateResponse:
        """Change in place, or say what would change."""
        resource = self._type(request.urn)
        old, inputs = to_plain(request.olds), to_plain(request.news)
        if request.preview or has_unknown(inputs):
            return rpc.UpdateResponse(from_plain(resource.foresee(inputs, old)))
        properties = await self._in_thread(resource.update, old, inputs, self._context(request.urn))
        return rpc.UpdateResponse(from_plain(properties))

    async def delete(self, request: rpc.DeleteRequest) -> None:
        """Take away."""
        resource = self._type(request.urn)
        await self._in_thread(resource.delete, to_plain(request.properties), self._context(request.urn))

    async def cancel(self) -> None:
        """The operator pressed Ctrl-C: whoever waits stops waiting; a step that acts is finished first."""
        self._stopped.set()

    def close(self) -> None:
        """After the last call: end the connections, so that no machine keeps a login of ours until it times out."""
        self._threads.shutdown()
        self._machines.close()

    def identify(self, urn: str, inputs: Properties) -> str:
        """The id of a resource that was created but is not well."""
        return self._type(urn).identify(inputs)

    def _type(self, urn: str) -> Resource:
        kind = urn.split("::")[-2].rsplit("$", 1)[-1]
        if kind not in self._types:
            message = (
                f"the fleet provider has no resource type {kind}; it has {', '.join(sorted(self._types))}"
            )
            raise ValueError(message)
        return self._types[kind]

    def _context(self, urn: str) -> Context:
        progress, warn = self._log.progress(urn), self._log.warning(urn)
        return Context(self._machines, self._rings, progress, warn, self._stopped.is_set)

    async def _in_thread(self, work: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
