"""A plan as tables for a terminal: nodes, pools, replicas, memory, flags with a reason each, cost and notes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from infra.plan.fleet_plan import FleetPlan, NodePlan, PoolPlan, ReplicaPlan
from infra.plan.summary import cost_text, size_text


def plan_tables(plan: FleetPlan) -> RenderableType:
    """Everything that `fleet plan` prints, from the whole to the parts."""
    return Group(
        _heading(plan),
        _nodes(plan),
        _pools(plan.pools),
        _replicas(plan.replicas),
        _memory(plan.replicas),
        *_flags(plan),
        *_notes(plan),
    )


def _heading(plan: FleetPlan) -> Text:
    sessions = sum(item.sessions for item in plan.demand)
    text = f"{plan.name}: stage {plan.stage}, {sessions} sessions, {cost_text(plan.cost_per_hour)}, {plan.endpoint}"
    return Text(text, style="bold")


def _table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], right: str = "") -> Table:
    """A table whose columns named in `right` (comma-separated) hold numbers."""
    numbers = right.split(",")
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0)
    )
    for column in columns:
        table.add_column(
            column, justify="right" if column in numbers else "left", header_style="dim", overflow="fold"
        )
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return table


def _nodes(plan: FleetPlan) -> Table:
    def row(node: NodePlan) -> tuple[object, ...]:
        carried = [replica for replica in plan.replicas if replica.node == node.name]
        gpus = sum(len(replica.gpu_ids) for replica in carried)
        use = f"{gpus} of {node.device_count} GPUs" if not node.lab else f"{len(carried)} replicas"
        address = f"{node.user}@{node.address}:{node.port}"
        return node.name, address, node.device, use, cost_text(node.price_per_hour), node.price_source

    columns = ("node", "reached as", "device", "in use", "price", "source of the price")
    return _table("\nNodes", columns, map(row, plan.nodes))


def _pools(pools: Iterable[PoolPlan]) -> Table:
    rows = (
        (pool.name if not index else "", reason)
        for pool in pools
        for index, reason in enumerate(pool.reasons)
    )
    return _table("\nPools", ("pool", "why"), rows)


def _replicas(replicas: Iterable[ReplicaPlan]) -> Table:
    rows = (
        (
            r.name,
            r.node,
            ",".join(map(str, r.gpu_ids)) or "none",
            r.served_name,
            r.base_url,
            r.slots,
            r.memory.kv_cache_tokens,
        )
        for r in replicas
    )
    columns = ("replica", "node", "GPUs", "model", "address", "slots", "KV tokens")
    return _table("\nReplicas", columns, rows, right="slots,KV tokens")


def _memory(replicas: Iterable[ReplicaPlan]) -> Table:
    def row(replica: ReplicaPlan) -> tuple[object, ...]:
        memory = replica.memory
        parts = (
            memory.weights_bytes,
            memory.activation_bytes,
            memory.non_torch_bytes,
            memory.cuda_graph_bytes,
        )
        cells = [
            size_text(part)
            for part in (memory.total_bytes, memory.usable_bytes, *parts, memory.kv_cache_bytes)
        ]
        return replica.name, *cells, size_text(memory.kv_bytes_per_token)

    columns = (
        "replica",
        "device",
        "usable",
        "weights",
        "activation",
        "non-torch",
        "CUDA graphs",
        "KV cache",
        "per token",
    )
    return _table("\nMemory of each GPU", columns, map(row, replicas), right=",".join(columns[1:]))


def _flags(plan: FleetPlan) -> Iterator[Table]:
    """One table per pool: its replicas differ by address and port alone."""
    for pool in plan.pools:
        first = next(replica for replica in plan.replicas if replica.pool == pool.name)
        rows = ((flag.name, flag.value, flag.reason) for flag in first.flags)
        yield _table(f"\nFlags of {first.name}", ("flag", "value", "why"), rows)


def _notes(plan: FleetPlan) -> Iterator[Text]:
    if plan.notes:
        yield Text("\nNotes", style="bold")
    for note in plan.notes:
        line = Text(f"{note.severity}: {note.path}: {note.text}")
        line.stylize("yellow" if note.severity == "warning" else "", 0, len(note.severity))
        yield line
