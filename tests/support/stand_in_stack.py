"""A stack as the verbs of `make` see it, without Pulumi."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tools.stack.pulumi import Pulumi


class StandIn(Pulumi):
    """A stack with these outputs, settings and state."""

    def __init__(
        self,
        outputs: dict[str, Any],
        settings: dict[str, str] | None = None,
        state: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(Path(), "shop", {})
        object.__setattr__(self, "given", (outputs, settings or {}, state or {}))

    given: tuple[dict[str, Any], dict[str, str], dict[str, Any]]

    def exists(self) -> bool:
        return True

    def outputs(self) -> dict[str, Any]:
        return self.given[0]

    def setting(self, name: str) -> str:
        return self.given[1].get(name, "")

    def read(self, *words: str) -> str:
        assert words[:2] == ("stack", "export")
        return json.dumps(self.given[2])
