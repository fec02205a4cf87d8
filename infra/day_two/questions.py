"""What `fleet status` asks each machine: its units, whether they answer, and their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from infra.day_two.inventory import Gateway, Inventory, Replica, StateStore
from infra.plan.gateway import SERVICE as GATEWAY

REQUESTS_RUNNING = "vllm:num_requests_running"
REQUESTS_WAITING = "vllm:num_requests_waiting"
KV_CACHE_USAGE = "vllm:kv_cache_usage_perc"
PREFIX_QUERIES = "vllm:prefix_cache_queries_total"
PREFIX_HITS = "vllm:prefix_cache_hits_total"
"""Counted in tokens, from the engine's start."""

_METRICS = (REQUESTS_RUNNING, REQUESTS_WAITING, KV_CACHE_USAGE, PREFIX_QUERIES, PREFIX_HITS)
_PATIENCE_S = 5

Subject = Literal["unit", "health", "metrics", "ring", "info", "alarm"]


@dataclass(frozen=True)
class Question:
    """A command that tells one thing of one service."""

    service: str
    subject: Subject
    argv: tuple[str, ...]


def questions(inventory: Inventory) -> dict[str, tuple[Question, ...]]:
    """Machine to questions; a machine that carries nothing is asked none, and still shows that it answers."""
    asked: dict[str, list[Question]] = {name: [] for name in inventory.machines}
    for service, (node, unit) in inventory.units().items():
        asked[node].append(Question(service, "unit", _unit(unit)))
    for replica in inventory.replicas:
        asked[replica.node] += _of_replica(replica)
    if inventory.gateway:
        asked[inventory.gateway.node] += _of_gateway(inventory.gateway)
    for store in inventory.stores:
        asked[store.node] += _of_store(store)
    return {node: tuple(items) for node, items in asked.items()}


def _unit(unit: str) -> tuple[str, ...]:
    properties = ("LoadState", "ActiveState", "SubState", "NRestarts")
    return ("systemctl", "show", *(f"--property={name}" for name in properties), "--", unit)


def health_words(url: str, ca: str = "") -> tuple[str, ...]:
    """Prints the body of /health and, on a line of its own, its status; `ca` is what an https URL is checked with."""
    # A certificate of the operator's names the address that clients use, not this one. Nothing secret is asked.
    trust = ("--cacert", ca) if ca else ("--insecure",)
    return (
        *("curl", "-sS", *trust, "--max-time", str(_PATIENCE_S)),
        *("-w", "\\n%{http_code}", "--", f"{url}/health"),
    )


def _of_replica(replica: Replica) -> Iterator[Question]:
    yield Question(replica.name, "health", health_words(replica.local_url))
    # An engine's page is of some 50 KB; what is read of it, of some lines.
    script = f'curl -sS --fail --max-time {_PATIENCE_S} -- "$1" | grep -E "^({"|".join(_METRICS)})[ {{]"'
    yield Question(replica.name, "metrics", ("sh", "-c", script, "sh", f"{replica.local_url}/metrics"))


def _of_gateway(gateway: Gateway) -> Iterator[Question]:
    yield Question(GATEWAY, "health", health_words(gateway.local_url, gateway.ca))
    yield Question(GATEWAY, "ring", (gateway.rotate, "status"))


def _of_store(store: StateStore) -> Iterator[Question]:
    yield Question(store.name, "info", ("env", "STATE_USER=exporter", store.cli, "INFO"))
    yield Question(store.name, "alarm", (store.alarm,))
