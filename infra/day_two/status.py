"""The state of a stack's services as rows, each with a sentence where something is not well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class MachineStatus:
    """A machine, and why it gave no answer."""

    name: str
    problem: str | None


@dataclass(frozen=True)
class ReplicaStatus:
    """An engine now. None is what nobody could tell, or what there is no gateway for.

    `unit_state` is systemd's, such as "active (running)". `ready`: it answers /health. `ring`: whether its gateway
    sends it requests, `out_by` who took it out, `healthy` whether the gateway reached it lately. `sessions` are those
    that the gateway remembers; `requests_*` are the engine's own. `kv_cache_usage`, `prefix_cache_hit_rate` (of tokens,
    since the engine's start) and `ring_share` are shares of 1.
    """

    name: str
    pool: str
    node: str
    unit: str
    unit_state: str | None
    ready: bool
    ring: Literal["in", "out"] | None
    out_by: str | None
    healthy: bool | None
    sessions: int | None
    slots: int
    requests_running: int | None
    requests_waiting: int | None
    kv_cache_usage: float | None
    kv_tokens: int
    prefix_cache_hit_rate: float | None
    ring_share: float | None
    restarts: int | None
    problem: str | None


@dataclass(frozen=True)
class GatewayStatus:
    """The gateway now. `requests`, `keyless` (without a session) and `spilled` (away from home, which was full) count
    from its start, over all replicas.
    """

    name: str
    kind: str
    node: str
    unit: str
    base_url: str
    unit_state: str | None
    healthy: bool
    requests: int | None
    keyless: int | None
    spilled: int | None
    restarts: int | None
    problem: str | None


@dataclass(frozen=True)
class StoreStatus:
    """A server of agent state now. `alarm`: by its own alarm it is nearly full, has lost keys or cannot write."""

    name: str
    node: str
    unit: str
    unit_state: str | None
    memory_used_bytes: int | None
    memory_max_bytes: int | None
    alarm: bool | None
    evicted: int | None
    restarts: int | None
    problem: str | None


@dataclass(frozen=True)
class FleetStatus:
    """A stack now."""

    stack: str
    machines: tuple[MachineStatus, ...]
    replicas: tuple[ReplicaStatus, ...]
    gateway: GatewayStatus | None
    stores: tuple[StoreStatus, ...]

    @property
    def problems(self) -> tuple[tuple[str, str], ...]:
        """What is not well, by name."""
        return tuple((row.name, row.problem) for row in self._named() if row.problem)

    @property
    def well(self) -> bool:
        """Whether everything runs, answers, and takes requests."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """The status for scripts; its keys are documented in docs/operating.md."""
        return {
            "stack": self.stack,
            "well": self.well,
            "machines": [asdict(row) for row in self.machines],
            "replicas": [asdict(row) for row in self.replicas],
            "gateway": asdict(self.gateway) if self.gateway else None,
            "stores": [asdict(row) for row in self.stores],
        }

    def _named(self) -> Iterator[Any]:
        yield from self.machines
        yield from (self.gateway,) if self.gateway else ()
        yield from self.replicas
        yield from self.stores
