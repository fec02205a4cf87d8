"""The JSON Schema of a spec, for editors."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from infra.spec.fleet import FleetSpec


class _Untitled(GenerateJsonSchema):
    """Without a title made from each key, which would only repeat it."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 pydantic's signature
        """Never."""
        return False


def schema() -> dict[str, Any]:
    """The schema with every key's description and limits; rules between keys are checked by `parse` alone."""
    body = FleetSpec.model_json_schema(schema_generator=_Untitled)
    for named in ("models", "pools"):
        body["properties"][named]["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **body, "title": "agentfleet spec"}


def schema_text() -> str:
    """The schema as docs/fleet.schema.json holds it."""
    return json.dumps(schema(), indent=2) + "\n"
