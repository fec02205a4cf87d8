"""Every pool as it will stand: of all ways to run the pools on the given nodes the one that costs least.

Least means what it means for the advice, and the same search finds it: the price of the nodes that carry a replica,
each of them whole, then their number, then the GPUs on them, then the GPUs in use.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from infra.errors import PlanError
from infra.packing import Fleet, Load, Market, cheapest_fleet
from infra.plan.fleet_plan import Demand, NodePlan
from infra.plan.placement import GivenNodes, Ledger, Seat, given_nodes, place
from infra.plan.sizing import Shape
from infra.plan.text import count_text, size_text
from infra.plan.wishes import Wish, cheapest_first

_RINGS = 8
"""Replicas that are added at most because the ring of the chosen addresses is worse than a usual one."""


@dataclass(frozen=True)
class Choice:
    """A pool as it will stand. `unfixed` is the cheapest shape without the operator's own numbers, if it gave any.

    `peak_sessions` are what the busiest of these very replicas gets; the shape's own are for any addresses.
    `fewest_gpus` do on some node of the fleet, which may cost more or be taken.
    """

    demand: Demand
    context_key: str
    shape: Shape
    seats: tuple[Seat, ...]
    peak_sessions: int
    fewest_gpus: int
    unfixed: Shape | None


def settle(wishes: Sequence[Wish], nodes: Sequence[NodePlan]) -> tuple[Choice, ...]:
    """The choice of every pool, in the order of the wishes; PlanError where there is no room for one.

    Behind a gateway that hashes, the addresses decide who gets how much. Where they are unlucky, a replica is added if
    there is room; where there is none, the note about the spread says so.
    """
    choices = _settle(wishes, nodes)
    for _ in range(_RINGS):
        crowded = {choice.demand.pool for choice in choices if choice.peak_sessions > choice.shape.slots}
        free = [wish for wish in wishes if wish.demand.pool in crowded and wish.request.replicas is None]
        if not free:
            break
        larger = {choice.demand.pool: choice.shape.replicas + 1 for choice in choices}
        wishes = [_with_least(wish, larger[wish.demand.pool]) if wish in free else wish for wish in wishes]
        try:
            choices = _settle(wishes, nodes)
        except PlanError:
            break
    return choices


def _with_least(wish: Wish, replicas: int) -> Wish:
    request = dataclasses.replace(wish.request, least_replicas=replicas)
    return dataclasses.replace(wish, request=request, options=tuple(cheapest_first(request, wish.nodes)))


def _settle(wishes: Sequence[Wish], nodes: Sequence[NodePlan]) -> tuple[Choice, ...]:
    """Pools that share the CPUs of the nodes they name first, since they cannot give way; the others together."""
    ledger = Ledger(nodes)
    placed: dict[str, tuple[Shape, tuple[Seat, ...]]] = {}
    for wish in wishes:
        if wish.shares_cpus:
            shape = wish.options[0]
            seats = ledger.share(wish.nodes[shape.device.name], shape.replicas, wish.first_port)
            placed[wish.demand.pool] = shape, seats
    others = [wish for wish in wishes if not wish.shares_cpus]
    fleet = _cheapest(others, nodes, ledger)
    if fleet is None:
        raise _no_room(others, nodes, ledger)
    seats_by_pool = place(fleet, ledger, {wish.demand.pool: wish.first_port for wish in others})
    for wish in others:
        pool = wish.demand.pool
        placed[pool] = _shape_of(wish, fleet.load_of(pool)), seats_by_pool[pool]
    addresses = {node.name: node.listen_address for node in nodes}
    return tuple(_choice(wish, *placed[wish.demand.pool], addresses) for wish in wishes)


def _choice(wish: Wish, shape: Shape, seats: tuple[Seat, ...], addresses: Mapping[str, str]) -> Choice:
    servers = [f"{addresses[seat.node]}:{seat.port}" for seat in seats]
    return Choice(
        demand=wish.demand,
        context_key=wish.context_key,
        shape=shape,
        seats=seats,
        peak_sessions=wish.request.spread.peak_on(servers, wish.request.sessions),
        fewest_gpus=min(option.gpus for option in wish.options if option.seats_all or not shape.seats_all),
        unfixed=_unfixed(wish),
    )


def _cheapest(wishes: Sequence[Wish], nodes: Sequence[NodePlan], ledger: Ledger) -> Fleet[GivenNodes] | None:
    """The fleet of least cost on the nodes that are still free, with a seat for every session where there can be."""
    free = [node for node in nodes if ledger.untouched(node)]
    usable = {
        wish.demand.pool: {node.name for members in wish.nodes.values() for node in members}
        for wish in wishes
    }
    kinds = given_nodes(free, usable)
    market = Market(kinds)
    seated = [list(_loads(wish, kinds, usable, seats_all=True)) for wish in wishes]
    fitting = [list(_loads(wish, kinds, usable, seats_all=False)) for wish in wishes]
    best = [all_seated or any_ for all_seated, any_ in zip(seated, fitting, strict=True)]
    return cheapest_fleet(best, market) or cheapest_fleet(fitting, market)


def _loads(
    wish: Wish, kinds: Sequence[GivenNodes], usable: Mapping[str, Set[str]], *, seats_all: bool
) -> Iterator[Load]:
    """What the search may place of a pool, and on which kinds of nodes."""
    pool = wish.demand.pool
    for shape in wish.options:
        device = shape.device.name
        there = [kind for kind in kinds if kind.device == device]
        places = frozenset(kind.place for kind in there if kind.nodes[0].name in usable[pool])
        large = any(kind.gpus >= shape.tensor_parallel_size for kind in there if kind.place in places)
        if large and (shape.seats_all or not seats_all):
            anywhere = len(places) == len({kind.place for kind in there})
            size, replicas = shape.tensor_parallel_size, shape.replicas
            yield Load(pool, device, size, replicas, None if anywhere else places)


def _shape_of(wish: Wish, load: Load) -> Shape:
    return next(
        shape
        for shape in wish.options
        if (shape.device.name, shape.tensor_parallel_size) == (load.device, load.size)
    )


def _unfixed(wished: Wish) -> Shape | None:
    fixed = wished.request
    free = dataclasses.replace(fixed, replicas=None, tensor_parallel_size=None, max_num_seqs=None)
    return None if free == fixed else next(iter(cheapest_first(free, wished.nodes)), None)


def _no_room(wishes: Sequence[Wish], nodes: Sequence[NodePlan], ledger: Ledger) -> PlanError:
    """Each pool fits a GPU, but not all of them the nodes: the first one for which there is no room beside others.

    Pools whose nodes the operator named come first, since they cannot give way, then the largest replicas.
    """
    order = sorted(wishes, key=lambda wish: (not wish.pinned, -wish.options[0].tensor_parallel_size))
    held: Fleet[GivenNodes] | None = None
    for count in range(1, len(order) + 1):
        fleet = _cheapest(order[:count], nodes, ledger)
        if fleet is None:
            if held is not None:
                place(held, ledger, {wish.demand.pool: wish.first_port for wish in order})
            return _no_room_for(order[count - 1], ledger)
        held = fleet
    raise AssertionError("every pool has room, so all of them have")


def _no_room_for(wished: Wish, ledger: Ledger) -> PlanError:
    """Sessions and KV cache without a seat, for the cheapest shape."""
    shape, sessions = wished.options[0], wished.demand.sessions
    room = ledger.room(wished.nodes[shape.device.name], shape.tensor_parallel_size)
    homeless = max(0, sessions - room * shape.slots)
    session_bytes = (
        wished.demand.context_tokens * shape.memory.kv_bytes_per_token * shape.tensor_parallel_size
    )
    lack = f"{homeless} sessions ({size_text(homeless * session_bytes)} of KV cache) have no seat"
    if room and not homeless:
        peak = wished.request.spread.peak_sessions(room, sessions)
        lack = f"hashed by session, the busiest would get up to {peak} of them and seats {shape.slots}"
    what = f"{count_text(shape.replicas, 'replica')} of {shape.tensor_parallel_size} x {shape.device.name}"
    change = f"add machines to nodes.hosts, or lower workload.workflows or {wished.context_key}"
    if shape.device.kind == "cpu":
        what = f"{count_text(shape.replicas, 'node')} without a GPU"
        change = (
            "add nodes or raise their kv_cache_memory, or name the pool's nodes, so that replicas share them"
        )
    return PlanError(
        f"pools.{wished.demand.pool}: {sessions} sessions need {what}, and beside the other pools there is room for "
        f"{room}: {lack}; {change}"
    )
