"""The JSON Schema of a spec, for editors."""

from __future__ import annotations

import json
from typing import Any

from infra.spec.fleet import FleetSpec


def schema() -> dict[str, Any]:
    """The schema with every key's description and limits; rules between keys are checked by `parse` alone."""
    body = FleetSpec.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **body, "title": "agentfleet spec"}


def schema_text() -> str:
    """The schema as docs/fleet.schema.json holds it."""
    return json.dumps(schema(), indent=2) + "\n"
