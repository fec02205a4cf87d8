"""Small specs for the tests of the plan: a lab fleet and a rented one, with any part replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from infra.plan import FleetPlan, make_plan
from infra.plan.read_models import read_models
from infra.spec import FleetSpec, parse

LAB: dict[str, Any] = {
    "name": "small",
    "workload": {"topology": "flat", "agents": 5, "workflows": 4, "context_tokens": 2048},
    "models": {"agent": {"config": "tiny-llama", "weights": {"generated": "tiny-llama"}}},
    "pools": {"agents": {"model": "agent", "role": "agent"}},
    "nodes": {"source": "lab", "lab": {"count": 1, "kv_cache_memory": "64MiB"}},
}

RENTED: dict[str, Any] = {
    "name": "rented",
    "workload": {"topology": "flat", "agents": 5, "workflows": 20, "context_tokens": 8192},
    "models": {"agent": {"config": "Qwen/Qwen3-8B", "weights": {"path": "/data/qwen3-8b"}}},
    "pools": {"agents": {"model": "agent", "role": "agent"}},
    "nodes": {"source": "ssh", "hosts": []},
    "access": {"clients": ["198.51.100.0/24"]},
}


def host(name: str, device: str = "H100-SXM", devices: int = 8, **other: Any) -> dict[str, Any]:
    """A rented machine; its address follows from the last character of its name."""
    address = f"203.0.113.{ord(name[-1])}"
    return {"name": name, "address": address, "user": "ubuntu", "device": device, "devices": devices, **other}


def spec(base: dict[str, Any], **parts: Any) -> FleetSpec:
    """`base` with top-level parts replaced; JSON is YAML."""
    return parse(json.dumps({**base, **parts}), "test.fleet.yaml")


def plan(base: dict[str, Any], **parts: Any) -> FleetPlan:
    """The plan of such a spec."""
    made = spec(base, **parts)
    return make_plan(made, read_models(made, Path()))


def rented(*hosts: dict[str, Any], **parts: Any) -> FleetPlan:
    """The plan of the rented fleet on these machines."""
    return plan(RENTED, nodes={"source": "ssh", "hosts": list(hosts)}, **parts)


def flag(planned: FleetPlan, name: str, replica: int = 0) -> str | None:
    """The value of one flag, None where the replica does not have it."""
    return next((item.value for item in planned.replicas[replica].flags if item.name == name), None)


def notes(planned: FleetPlan, severity: str) -> list[str]:
    """Notes of one severity as `path: text`."""
    return [f"{note.path}: {note.text}" for note in planned.notes if note.severity == severity]
