"""The base of every part of a spec."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A mapping of the spec: unknown keys are refused, and once parsed it never changes.

    A field's description is a noun phrase, because it serves twice: editors show it from the JSON Schema, and the
    message about a missing key says "is missing: give <description>".
    """

    model_config = ConfigDict(extra="forbid", frozen=True, serialize_by_alias=True)
