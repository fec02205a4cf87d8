"""What planning a large fleet takes: 1,000 replicas on 500 given nodes, or the nodes to rent for as many.

    python tests/bench/planning/measure.py plan      seconds by step and peak memory of this process, as JSON
    python tests/bench/planning/measure.py advise

Planning is held to one second and 200 MB, from the spec's text to the plan as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from infra.advice.command import advise_spec
from infra.plan import make_plan
from infra.plan.read_models import read_models
from infra.spec import parse

NODES = 500
REPLICAS = 1000


def spec_text() -> str:
    """500 nodes of two GPUs, and sessions that take two replicas of each: JSON is YAML."""
    hosts = [
        {"name": f"gpu-{n}", "address": f"10.0.{n // 250}.{n % 250 + 1}", "device": "H100-SXM", "devices": 2}
        for n in range(NODES)
    ]
    return json.dumps(
        {
            "name": "large",
            "workload": {"topology": "flat", "agents": 5, "workflows": 10_000, "context_tokens": 8192},
            "models": {"agent": {"config": "Qwen/Qwen3-8B", "weights": {"path": "/data/qwen3-8b"}}},
            "pools": {"agents": {"model": "agent", "role": "agent", "replicas": REPLICAS}},
            "nodes": {"source": "ssh", "hosts": hosts},
            "access": {"clients": ["198.51.100.0/24"]},
        }
    )


def measure(command: str) -> dict[str, Any]:
    """Seconds of each step from the spec's text to the answer as JSON, and the most memory this process ever had."""
    text, begun = spec_text(), time.perf_counter()
    spec = parse(text, "large.fleet.yaml")
    models = read_models(spec, Path())
    read = time.perf_counter()
    decided: Any = make_plan(spec, models) if command == "plan" else advise_spec(spec, models)
    made = time.perf_counter()
    printed = json.dumps(decided.to_dict())
    done = time.perf_counter()
    return {
        "replicas": sum(pool.replicas for pool in decided.pools),
        "nodes": len({replica.node for replica in decided.replicas}) if command == "plan" else decided.nodes,
        "printed_bytes": len(printed),
        "read_s": round(read - begun, 3),
        f"{command}_s": round(made - read, 3),
        "print_s": round(done - made, 3),
        "all_s": round(done - begun, 3),
        "cpu_s": round(time.process_time(), 3),  # of the whole process, imports and all
        "peak_bytes": _peak_bytes(),
    }


def _peak_bytes() -> int:
    """getrusage would do for a process of its own alone: a child begins with the peak of the one that started it."""
    [line] = [
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")
    ]
    return int(line.split()[1]) * 1024  # the kernel writes kB and means KiB


if __name__ == "__main__":
    json.dump(measure(sys.argv[1] if sys.argv[1:] else "plan"), sys.stdout, indent=1)
    print()
