"""What a machine must show before anything is put on it; provisioning/facts holds it against what the machine is."""

from __future__ import annotations

from typing import Any

from infra.catalog.devices import device_named
from infra.plan.fleet_plan import FleetPlan, NodePlan

ENGINE_MEMORY_BYTES = 1_300_000_000
"""What a replica on the CPU takes beside weights and KV cache (0.32.0, one process: 1.1 to 1.3 GB measured)."""


def machine_needs(plan: FleetPlan, node: NodePlan) -> dict[str, Any]:
    """The fields of provisioning.facts.Requirements for this node; what is left out is not asked for."""
    replicas = plan.replicas_on(node.name)
    carries = replicas or plan.services_beside(node.name)
    needs: dict[str, Any] = {"listen_address": node.listen_address} if carries else {}
    store_bytes = plan.state.machine_bytes if plan.state and plan.state.stands_on(node.name) else 0
    if node.on_cpu:
        sizes = (replica.memory.weights_bytes + replica.memory.kv_cache_bytes for replica in replicas)
        engines_bytes = sum(size_bytes + ENGINE_MEMORY_BYTES for size_bytes in sizes)
        return {**needs, "memory_bytes": engines_bytes + store_bytes}
    if store_bytes:
        needs["memory_bytes"] = store_bytes
    device = device_named(node.device)
    return {
        **needs,
        "device": device.name,
        "device_names": [device.name, *device.aliases],
        "device_count": node.device_count,
        "min_driver": node.min_driver,
    }
