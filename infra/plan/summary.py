"""A plan in few words: the stack's `plan` output, whose leaves a preview compares one by one."""

from __future__ import annotations

from typing import Any

from infra.plan.fleet_plan import FleetPlan, ReplicaPlan
from infra.plan.gateway import GatewayPlan
from infra.plan.state import StatePlan
from infra.plan.text import cost_text, size_text


def summarise(plan: FleetPlan) -> dict[str, Any]:
    """Sessions, replicas, memory, flags and cost, without the reasons."""
    costs = {line.name: line.cost.usd_per_hour if line.cost else None for line in plan.cost.pools}
    return {
        "stage": plan.stage,
        "sessions": {item.pool: f"{item.formula} = {item.sessions}" for item in plan.demand},
        "pools": {
            pool.name: {
                "model": pool.model,
                "device": pool.device,
                "replicas": pool.replicas,
                "tensor_parallel_size": pool.tensor_parallel_size,
                "context_tokens": pool.context_tokens,
                "slots": f"{pool.slots} for {pool.sessions} sessions",
                "cost": cost_text(costs[pool.name]),
            }
            for pool in plan.pools
        },
        "replicas": {replica.name: _replica(replica) for replica in plan.replicas},
        **({"gateway": _gateway(plan.gateway)} if plan.gateway else {}),
        **({"state": _state(plan.state)} if plan.state else {}),
        "cost": cost_text(plan.cost_per_hour),
        "notes": [f"{note.path}: {note.text}" for note in plan.notes],
    }


def _replica(replica: ReplicaPlan) -> dict[str, Any]:
    memory = replica.memory
    return {
        "node": replica.node,
        "gpus": ", ".join(map(str, replica.gpu_ids)) or "none",
        "memory_per_gpu": {
            "weights": size_text(memory.weights_bytes),
            "activation": size_text(memory.activation_bytes),
            "other": size_text(memory.non_torch_bytes + memory.cuda_graph_bytes),
            "kv_cache": f"{size_text(memory.kv_cache_bytes)}, {memory.kv_cache_tokens} tokens",
        },
        "slots": replica.slots,
        "flags": {flag.name: flag.value or "on" for flag in replica.flags},
    }


def _gateway(gateway: GatewayPlan) -> dict[str, Any]:
    return {
        "kind": gateway.kind,
        "address": gateway.base_url,
        **{item.name: item.value for item in gateway.decisions},
    }


def _state(state: StatePlan) -> dict[str, Any]:
    return {"kind": state.kind, **{item.name: item.value for item in state.decisions}}
