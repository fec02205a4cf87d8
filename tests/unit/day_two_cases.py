"""A small stack as the day-two verbs find it: its outputs, and what its machines answer when all is well."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.day_two.inventory import Inventory, read_inventory
from infra.day_two.questions import questions
from infra.day_two.rows import make_status
from infra.day_two.status import FleetStatus
from provisioning.day_two.answers import Answer, Answers

PAGE = (Path(__file__).parent / "day_two" / "vllm-0.32.0.prom").read_text()
"""Recorded of a vLLM 0.32.0 that works on three requests; shortened."""

UNIT = "LoadState=loaded\nActiveState=active\nSubState=running\nNRestarts=0\n"


def machine(host: int, **fields: Any) -> dict[str, Any]:
    usual = {"address": f"198.18.7.{host}", "port": 22, "user": "root", "host_key": "ssh-ed25519 AAAA"}
    return {**usual, "identity_file": "/keys/id", "password_config": "", **fields}


def replica(index: int, **fields: Any) -> dict[str, Any]:
    usual = {
        "name": f"agents-{index}",
        "pool": "agents",
        "node": f"node-{index + 2}",
        "unit": f"agentfleet-demo-agents-{index}",
        "local_url": f"http://198.18.7.{12 + index}:8000",
        "slots": 30,
        "kv_tokens": 65_536,
    }
    return {**usual, **fields}


GATEWAY = {
    "kind": "nginx",
    "node": "node-1",
    "unit": "agentfleet-demo-gateway",
    "rotate": "/etc/agentfleet/demo/gateway/rotate",
    "base_url": "http://198.18.7.11:8080",
    "local_url": "http://198.18.7.11:8080",
    "drain_timeout_s": 300,
}
STORE = {
    "name": "state",
    "node": "node-1",
    "unit": "agentfleet-demo-state",
    "cli": "/etc/agentfleet/demo/state/cli",
    "alarm": "/etc/agentfleet/demo/state/alarm",
}


def outputs(**parts: Any) -> dict[str, Any]:
    """Two replicas on nodes of their own behind a gateway, and a store beside that."""
    inventory = {
        "stack": "demo",
        "machines": {f"node-{host - 10}": machine(host) for host in (11, 12, 13)},
        "replicas": [replica(0), replica(1)],
        "gateway": GATEWAY,
        "state": {"stores": [STORE]},
    }
    return {"endpoint": "http://198.18.7.11:8080/v1", "inventory": {**inventory, **parts}}


def inventory(**parts: Any) -> Inventory:
    return read_inventory("demo", outputs(**parts))


def member(**fields: Any) -> dict[str, Any]:
    usual = {"address": "198.18.7.12:8000", "ring": "in", "out_by": None, "healthy": True, "in_flight": 3}
    counts = {"sessions": 12, "ring_share": 0.5, "requests": 100, "home": 90, "spilled": 2, "keyless": 3}
    return {**usual, **counts, **fields}


def ring(**members: Mapping[str, Any]) -> str:
    """What `rotate status` prints; names are written with _ for -."""
    replicas = {name.replace("_", "-"): item for name, item in members.items()}
    return json.dumps({"pools": {"agents": {"load_factor": 1.25, "replicas": replicas}}})


WELL = {
    "unit": Answer(0, UNIT),
    "health": Answer(0, "\n200"),
    "metrics": Answer(0, PAGE),
    "ring": Answer(0, ring(agents_0=member(), agents_1=member(ring_share=0.5))),
    "info": Answer(0, "# Memory\r\nused_memory:1000000\r\nmaxmemory:67108864\r\nevicted_keys:0\r\n"),
    "alarm": Answer(0, ""),
}


def answers(of: Inventory, **changed: Answer | Exception) -> dict[str, Answers]:
    """All well, but for `changed`: by service and subject as agents_0__health, or by machine as node_2."""
    said: dict[str, Answers] = {}
    for node, items in questions(of).items():
        dead = changed.get(node.replace("-", "_"))
        key = (f"{item.service.replace('-', '_')}__{item.subject}" for item in items)
        said[node] = (
            dead
            if dead is not None
            else tuple(changed.get(k, WELL[i.subject]) for k, i in zip(key, items, strict=True))
        )
    return said


def status(of: Inventory | None = None, **changed: Answer | Exception) -> FleetStatus:
    of = of or inventory()
    return make_status(of, answers(of, **changed))


def stand_in_pulumi(
    folder: Path, printed: Mapping[str, Any], settings: Mapping[str, str] | None = None
) -> None:
    """A `pulumi` in this folder that knows the stack demo alone."""
    lines = ["#!/bin/sh", 'case "$*" in']
    lines.append(
        f"'--non-interactive stack output --json --stack demo') printf %s {shlex.quote(json.dumps(printed))} ;;"
    )
    for name, value in (settings or {}).items():
        lines.append(f"'--non-interactive config get {name} --stack demo') echo {shlex.quote(value)} ;;")
    lines.append("""*) echo "error: no stack named 'other' found" >&2; exit 255 ;;\nesac""")
    program = folder / "pulumi"
    program.write_text("\n".join(lines) + "\n")
    program.chmod(0o755)
