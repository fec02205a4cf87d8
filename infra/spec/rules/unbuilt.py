"""What a spec can name already and agentfleet cannot do yet: refused, never ignored.

A stage that builds one of these deletes its rule here.
"""

from __future__ import annotations

from collections.abc import Iterator

from infra.spec.document import Fault
from infra.spec.fleet import FleetSpec
from infra.spec.kinds import QueueKind


def queue_is_built(spec: FleetSpec) -> Iterator[Fault]:
    """No queue yet."""
    if spec.queue.kind is not QueueKind.NONE:
        yield _unbuilt("queue", spec.queue.kind)


def _unbuilt(part: str, kind: str) -> Fault:
    return Fault((part, "kind"), f"{kind} is not built yet: write none or remove {part}")
