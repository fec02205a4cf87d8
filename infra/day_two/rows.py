"""From the machines' answers to rows, each with the sentence for what is not well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.day_two import questions as asked
from infra.day_two.inventory import Gateway, Inventory, Replica, StateStore
from infra.day_two.look import Look, read_looks, read_ring, shortened
from infra.day_two.metrics import info_number
from infra.day_two.questions import questions
from infra.day_two.status import FleetStatus, GatewayStatus, MachineStatus, ReplicaStatus, StoreStatus
from infra.plan.gateway import SERVICE as GATEWAY
from infra.plan.litellm import SERVICE as LITELLM
from provisioning.day_two.answers import Answers

_UNHEARD = "its machine does not answer"


def make_status(inventory: Inventory, answers: Mapping[str, Answers]) -> FleetStatus:
    """The rows of every machine and service, in the order of the inventory."""
    looks = read_looks(questions(inventory), answers)
    ring = read_ring(looks.get(GATEWAY))
    return FleetStatus(
        stack=inventory.stack,
        machines=tuple(
            MachineStatus(name, None if isinstance(answers[name], tuple) else str(answers[name]))
            for name in inventory.machines
        ),
        replicas=tuple(
            _replica(inventory, replica, looks.get(replica.name), ring.get(replica.name))
            for replica in inventory.replicas
        ),
        gateway=_gateway(inventory, inventory.gateway, looks, ring) if inventory.gateway else None,
        stores=tuple(_store(inventory.stack, store, looks.get(store.name)) for store in inventory.stores),
    )


def _replica(
    inventory: Inventory, replica: Replica, look: Look | None, member: Mapping[str, Any] | None
) -> ReplicaStatus:
    seen = member or {}
    usage = look.numbers(asked.KV_CACHE_USAGE) if look else ()
    return ReplicaStatus(
        name=replica.name,
        pool=replica.pool,
        node=replica.node,
        unit=replica.unit,
        unit_state=look.unit_state if look else None,
        ready=bool(look and not look.unhealthy),
        ring=seen.get("ring"),
        out_by=seen.get("out_by"),
        healthy=seen.get("healthy"),
        sessions=seen.get("sessions"),
        slots=replica.slots,
        requests_running=look.total(asked.REQUESTS_RUNNING) if look else None,
        requests_waiting=look.total(asked.REQUESTS_WAITING) if look else None,
        kv_cache_usage=max(usage, default=None),  # of data-parallel ranks, the fullest
        kv_tokens=replica.kv_tokens,
        prefix_cache_hit_rate=_hit_rate(look) if look else None,
        ring_share=seen.get("ring_share"),
        restarts=look.restarts if look else None,
        problem=_engine_problem(inventory.stack, replica.name, look)
        or _ring_problem(inventory, replica, member),
    )


def _hit_rate(look: Look) -> float | None:
    queries, hits = look.total(asked.PREFIX_QUERIES), look.total(asked.PREFIX_HITS)
    return hits / queries if queries and hits is not None else None


def _engine_problem(stack: str, service: str, look: Look | None) -> str | None:
    if look is None:
        return _UNHEARD
    if (stopped := _stopped(stack, service, look)) or not look.unhealthy:
        return stopped
    return f"{look.unhealthy}; `fleet logs {stack} {service}` shows what it is doing"


def _stopped(stack: str, service: str, look: Look) -> str | None:
    if look.unit_state.startswith(("active", "reloading")):
        return None
    if look.unit_state == "not there":
        return f"its unit is not there: `make up STACK={stack}` brings it back"
    return f"its unit is {look.unit_state}; `fleet logs {stack} {service}` shows why"


def _ring_problem(inventory: Inventory, replica: Replica, member: Mapping[str, Any] | None) -> str | None:
    """What the gateway thinks of a replica that is well by itself."""
    stack = inventory.stack
    if inventory.gateway is None:
        return None
    if member is None:
        return "the gateway says nothing of it, so it gets no requests that anybody knows of"
    if member.get("ring") == "in":
        return None if member.get("healthy", True) else "the gateway could not reach it lately"
    match member.get("out_by"):
        case "operator":
            return f"drained by an operator: `fleet undrain {stack} {replica.node}` puts it in again"
        case "update":
            return f"left out by a change that did not end: `make up STACK={stack}` goes on with it"
        case _:
            return f"not in the ring yet: `make up STACK={stack}` brings it there, unless one is running"


def _gateway(
    inventory: Inventory,
    gateway: Gateway,
    looks: Mapping[str, Look],
    ring: Mapping[str, Mapping[str, Any]],
) -> GatewayStatus:
    """With LiteLLM before it, both must run; whether it answers was asked where clients do."""
    look, front = looks.get(GATEWAY), looks.get(LITELLM)
    stopped = _stopped(inventory.stack, LITELLM, front) if front else None
    return GatewayStatus(
        name=GATEWAY,
        kind=gateway.kind,
        node=gateway.node,
        unit=gateway.unit,
        base_url=gateway.base_url,
        unit_state=look.unit_state if look else None,
        healthy=bool(look and not look.unhealthy),
        requests=_sum(ring, "requests"),
        keyless=_sum(ring, "keyless"),
        spilled=_sum(ring, "spilled"),
        restarts=look.restarts if look else None,
        problem=stopped or _engine_problem(inventory.stack, GATEWAY, look) or _unreadable_ring(look, ring),
    )


def _unreadable_ring(look: Look | None, ring: Mapping[str, Mapping[str, Any]]) -> str | None:
    if ring or look is None:
        return None
    return f"its ring cannot be read: {shortened(look.answers['ring'].last_line)}"


def _sum(ring: Mapping[str, Mapping[str, Any]], key: str) -> int | None:
    values = [int(item[key]) for item in ring.values() if item.get(key) is not None]
    return sum(values) if values else None


def _store(stack: str, store: StateStore, look: Look | None) -> StoreStatus:
    text = look.answers["info"].text if look else ""
    used = info_number(text, "used_memory")
    return StoreStatus(
        name=store.name,
        node=store.node,
        unit=store.unit,
        unit_state=look.unit_state if look else None,
        memory_used_bytes=used,
        memory_max_bytes=info_number(text, "maxmemory"),
        alarm=None if look is None or used is None else bool(look.answers["alarm"].exit_code),
        evicted=info_number(text, "evicted_keys"),
        restarts=look.restarts if look else None,
        problem=_store_problem(stack, store.name, look, answers=used is not None),
    )


def _store_problem(stack: str, service: str, look: Look | None, *, answers: bool) -> str | None:
    if look is None:
        return _UNHEARD
    if stopped := _stopped(stack, service, look):
        return stopped
    if not answers:
        return f"it does not say what it holds: {shortened(look.answers['info'].last_line)}"
    alarm = look.answers["alarm"]
    if not alarm.exit_code:
        return None
    return "; ".join(line.removeprefix("<4>") for line in alarm.text.splitlines()) or alarm.last_line
