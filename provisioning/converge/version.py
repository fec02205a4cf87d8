"""A wanted state together with the secrets that fill its places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from provisioning.state import ServiceState


@dataclass(frozen=True)
class Version:
    """What a service should be, complete: nothing else is needed to write its files."""

    state: ServiceState
    secrets: Mapping[str, str] = field(default_factory=dict)
