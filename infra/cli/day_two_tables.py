"""A fleet's status as tables, and lines of its journals, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from infra.cli.table import table
from infra.day_two.status import FleetStatus, GatewayStatus, ReplicaStatus, StoreStatus
from infra.plan.text import count_text, size_text

_NOTHING = "-"


def status_tables(status: FleetStatus) -> RenderableType:
    """Everything that `fleet status` prints: the rows, and below them what is not well."""
    return Group(*_replicas(status), *_gateway(status), *_stores(status), *_problems(status))


def _replicas(status: FleetStatus) -> Iterator[RenderableType]:
    def row(replica: ReplicaStatus) -> tuple[object, ...]:
        return (
            replica.name,
            replica.node,
            _unit(replica.unit_state),
            "yes" if replica.ready else "no",
            _ring(replica),
            _share(replica.ring_share),
            f"{_shown(replica.sessions)}/{replica.slots}",
            _shown(replica.requests_running),
            _shown(replica.requests_waiting),
            _share(replica.kv_cache_usage),
            _share(replica.prefix_cache_hit_rate),
            _shown(replica.restarts),
        )

    numbers = ("share", "sessions", "running", "waiting", "KV", "hits", "restarts")
    columns = ("replica", "node", "unit", "ready", "ring", *numbers)
    yield table(f"Replicas of {status.stack}", columns, map(row, status.replicas), numbers)


def _gateway(status: FleetStatus) -> Iterator[RenderableType]:
    if status.gateway:
        yield table(
            "Gateway",
            ("", "node", "unit", "healthy", "address", *_COUNTS),
            [_gateway_row(status.gateway)],
            _COUNTS,
        )


_COUNTS = ("requests", "keyless", "spilled", "restarts")


def _gateway_row(gateway: GatewayStatus) -> tuple[object, ...]:
    return (
        gateway.kind,
        gateway.node,
        _unit(gateway.unit_state),
        "yes" if gateway.healthy else "no",
        gateway.base_url,
        _shown(gateway.requests),
        _shown(gateway.keyless),
        _shown(gateway.spilled),
        _shown(gateway.restarts),
    )


def _stores(status: FleetStatus) -> Iterator[RenderableType]:
    def row(store: StoreStatus) -> tuple[object, ...]:
        sizes = (
            _NOTHING if size is None else size_text(size)
            for size in (store.memory_used_bytes, store.memory_max_bytes)
        )
        alarm = _NOTHING if store.alarm is None else "yes" if store.alarm else "no"
        return (
            store.name,
            store.node,
            _unit(store.unit_state),
            *sizes,
            alarm,
            _shown(store.evicted),
            _shown(store.restarts),
        )

    if status.stores:
        numbers = ("used", "most", "evicted", "restarts")
        columns = ("store", "node", "unit", "used", "most", "alarm", "evicted", "restarts")
        yield table("State", columns, map(row, status.stores), numbers)


def _problems(status: FleetStatus) -> Iterator[RenderableType]:
    if status.well:
        yield Text("\nall well", style="green")
        return
    yield Text(f"\n{count_text(len(status.problems), 'thing')} not well", style="bold")
    for name, problem in status.problems:
        yield Text(f"{name}: ", style="red").append(problem, style="default")


def _unit(state: str | None) -> str:
    """systemd's second word says it all while a unit is active: "running"."""
    if state is None:
        return "unknown"
    return state.removeprefix("active (").removesuffix(")") if state.startswith("active (") else state


def _ring(replica: ReplicaStatus) -> str:
    if replica.ring == "out" and replica.out_by:
        return f"out by {replica.out_by}"
    if replica.ring == "in" and replica.healthy is False:
        return "in, failing"
    return replica.ring or _NOTHING


def _share(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.0%}"


def _shown(value: int | None) -> str:
    return _NOTHING if value is None else str(value)
