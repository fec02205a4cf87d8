"""The `fleet` provider's resource types as Pulumi resources. Their properties are the provider's, key for key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi


class _FleetResource(pulumi.CustomResource):
    """A resource whose inputs come back as outputs, with some more."""

    _kind: str
    _outputs: tuple[str, ...] = ()

    def __init__(
        self, name: str, properties: Mapping[str, Any], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(
            f"fleet:index:{self._kind}", name, {**dict.fromkeys(self._outputs), **properties}, opts
        )


class LabNode(_FleetResource):
    """A throw-away machine on this computer; `connection` is how a Host reaches it."""

    _kind = "LabNode"
    _outputs = ("connection",)

    connection: pulumi.Output[dict[str, Any]]


class Host(_FleetResource):
    """A machine reached by SSH, checked against what the plan requires; `facts` is what it is."""

    _kind = "Host"
    _outputs = ("connection", "facts")

    connection: pulumi.Output[dict[str, Any]]
    facts: pulumi.Output[dict[str, Any]]


class Service(_FleetResource):
    """A program on a Host; `gate_report` holds the planned and the measured number."""

    _kind = "Service"
    _outputs = ("gate_report",)

    gate_report: pulumi.Output[dict[str, Any] | None]
