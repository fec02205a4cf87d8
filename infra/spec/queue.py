"""Where tasks wait that need no answer at once."""

from __future__ import annotations

from pydantic import Field

from infra.spec.kinds import QueueKind
from infra.spec.part import Part


class Queue(Part):
    """Where tasks wait that need no answer at once."""

    kind: QueueKind = Field(default=QueueKind.NONE, description="The queue of background tasks.")
