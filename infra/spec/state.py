"""Where agents keep what must outlive a session."""

from __future__ import annotations

from pydantic import Field

from infra.spec.kinds import StateKind
from infra.spec.part import Part


class StateStore(Part):
    """Where agents keep what must outlive a session."""

    kind: StateKind = Field(default=StateKind.NONE, description="The store of agent state.")
