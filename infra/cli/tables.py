"""A plan as tables for a terminal: nodes, pools, replicas, memory, flags with a reason each, cost and notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from infra.cli.bill_tables import bill_table
from infra.cli.table import table
from infra.memory import MemoryBudget
from infra.plan.fleet_plan import FleetPlan, NodePlan
from infra.plan.text import cost_text, count_text, size_text

_MEMORY_PARTS: tuple[tuple[str, Callable[[MemoryBudget], int]], ...] = (
    ("device memory", lambda memory: memory.total_bytes),
    ("the engine may claim", lambda memory: memory.usable_bytes),
    ("weights", lambda memory: memory.weights_bytes),
    ("activation", lambda memory: memory.activation_bytes),
    ("outside of torch", lambda memory: memory.non_torch_bytes),
    ("CUDA graphs", lambda memory: memory.cuda_graph_bytes),
    ("KV cache", lambda memory: memory.kv_cache_bytes),
    ("KV cache of one token", lambda memory: memory.kv_bytes_per_token),
)

_COLOURS = {"info": "", "warning": "yellow", "shortfall": "red"}


def plan_tables(plan: FleetPlan) -> RenderableType:
    """Everything that `fleet plan` prints, from the whole to the parts."""
    return Group(
        _heading(plan),
        _nodes(plan),
        bill_table(plan.cost),
        _pools(plan),
        _replicas(plan),
        *_beside(plan),
        _memory(plan),
        *_flags(plan),
        *_notes(plan),
    )


def _heading(plan: FleetPlan) -> Text:
    sessions = count_text(plan.sessions, "session")
    text = f"{plan.name}: stage {plan.stage}, {sessions}, {cost_text(plan.cost_per_hour)}, {plan.endpoint}"
    return Text(text, style="bold")


def _nodes(plan: FleetPlan) -> Table:
    def row(node: NodePlan) -> tuple[object, ...]:
        carried = plan.replicas_on(node.name)
        gpus = sum(len(replica.gpu_ids) for replica in carried)
        engines = (
            count_text(len(carried), "replica") if node.on_cpu else f"{gpus} of {node.device_count} GPUs"
        )
        beside = plan.services_beside(node.name)
        use = ", ".join([*beside, engines] if carried or not beside else beside)
        address = f"{node.user}@{node.address}:{node.port}"
        return node.name, address, node.device, use, cost_text(node.price_per_hour), node.price_source

    columns = ("node", "reached as", "device", "in use", "price", "source of the price")
    return table("Nodes", columns, map(row, plan.nodes))


def _pools(plan: FleetPlan) -> Table:
    rows = ((pool.name, item.name, item.value, item.reason) for pool in plan.pools for item in pool.decisions)
    return table("Pools", ("pool", "number", "value", "why"), rows, numbers=("value",))


def _replicas(plan: FleetPlan) -> Table:
    rows = (
        (
            replica.name,
            replica.node,
            ",".join(map(str, replica.gpu_ids)) or "none",
            replica.served_name,
            replica.base_url,
            replica.slots,
            replica.memory.kv_cache_tokens,
        )
        for replica in plan.replicas
    )
    columns = ("replica", "node", "GPUs", "model", "address", "slots", "KV tokens")
    return table("Replicas", columns, rows, numbers=("slots", "KV tokens"))


def _beside(plan: FleetPlan) -> Iterator[Table]:
    """What stands beside the engines, each with its decisions."""
    for title, part in (("Gateway", plan.gateway), ("State store", plan.state)):
        if part:
            rows = ((item.name, item.value, item.reason) for item in part.decisions)
            yield table(f"{title} ({part.kind})", ("", "value", "why"), rows)


def _memory(plan: FleetPlan) -> Table:
    """One column per pool: its replicas are alike."""
    names = [pool.name for pool in plan.pools]
    budgets = [next(replica.memory for replica in plan.replicas if replica.pool == name) for name in names]
    rows = [(name, *(size_text(part(memory)) for memory in budgets)) for name, part in _MEMORY_PARTS]
    return table("Memory of each GPU", ("", *names), rows, numbers=names)


def _flags(plan: FleetPlan) -> Iterator[Table]:
    """One table per pool: its replicas differ by address and port alone."""
    for pool in plan.pools:
        first = next(replica for replica in plan.replicas if replica.pool == pool.name)
        rows = ((flag.name, flag.value, flag.reason) for flag in first.flags)
        yield table(f"Flags of {first.name}", ("flag", "value", "why"), rows)


def _notes(plan: FleetPlan) -> Iterator[Text]:
    if plan.notes:
        yield Text("\nNotes", style="bold")
    for note in plan.notes:
        line = Text(f"{note.severity}: {note.path}: {note.text}")
        line.stylize(_COLOURS[note.severity], 0, len(note.severity))
        yield line
