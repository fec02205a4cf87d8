"""A pool as it will stand: of its possible shapes the cheapest for which there is room."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from infra.errors import PlanError
from infra.plan.fleet_plan import Demand
from infra.plan.placement import Ledger, Seat
from infra.plan.sizing import Shape
from infra.plan.text import count_text, size_text
from infra.plan.wishes import Wish, cheapest_first


@dataclass(frozen=True)
class Choice:
    """A pool as it will stand. `unfixed` is the cheapest shape without the operator's own numbers, if it gave any."""

    demand: Demand
    context_key: str
    shape: Shape
    seats: tuple[Seat, ...]
    unfixed: Shape | None


def settle(wished: Wish, ledger: Ledger) -> Choice:
    """Take the cheapest shape for which there is room from the ledger; PlanError where there is none."""
    for shape in wished.options:
        members, size = wished.nodes[shape.device.name], shape.tensor_parallel_size
        if ledger.room(members, size, pinned=wished.pinned) >= shape.replicas:
            seats = ledger.place(members, shape.replicas, size, wished.first_port, pinned=wished.pinned)
            return Choice(wished.demand, wished.context_key, shape, seats, _unfixed(wished))
    raise _no_room(wished, ledger)


def _unfixed(wished: Wish) -> Shape | None:
    fixed = wished.request
    free = dataclasses.replace(fixed, replicas=None, tensor_parallel_size=None, max_num_seqs=None)
    return None if free == fixed else next(iter(cheapest_first(free, wished.nodes)), None)


def _no_room(wished: Wish, ledger: Ledger) -> PlanError:
    """It fits a GPU but not the nodes: sessions and KV cache without a seat, for the cheapest shape."""
    shape, sessions = wished.options[0], wished.demand.sessions
    room = ledger.room(wished.nodes[shape.device.name], shape.tensor_parallel_size, pinned=wished.pinned)
    homeless = max(0, sessions - room * shape.slots)
    session_bytes = (
        wished.demand.context_tokens * shape.memory.kv_bytes_per_token * shape.tensor_parallel_size
    )
    what = f"{count_text(shape.replicas, 'replica')} of {shape.tensor_parallel_size} x {shape.device.name}"
    change = f"add machines to nodes.hosts, or lower workload.workflows or {wished.context_key}"
    if shape.device.kind == "cpu":
        what = f"{count_text(shape.replicas, 'node')} without a GPU"
        change = (
            "add nodes or raise their kv_cache_memory, or name the pool's nodes, so that replicas share them"
        )
    return PlanError(
        f"pools.{wished.demand.pool}: {sessions} sessions need {what}, and beside the other pools there is room for "
        f"{room}: {homeless} sessions ({size_text(homeless * session_bytes)} of KV cache) have no seat; {change}"
    )
