"""Who sits where: no GPU twice, no replica across nodes, the cheapest nodes of all that hold the replicas."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from plan_specs import RENTED, host, spec

from infra.packing import Load, Market, cheapest_fleet
from infra.plan.fleet_plan import NodePlan
from infra.plan.nodes import plan_nodes
from infra.plan.placement import Ledger, Seat, given_nodes, place

Machine = tuple[str, int, float]
"""Device, GPUs, and dollars per GPU and hour."""


def nodes(*machines: Machine) -> tuple[NodePlan, ...]:
    hosts = [
        host(f"gpu-{chr(ord('a') + i)}", device, gpus, price_per_hour=price)
        for i, (device, gpus, price) in enumerate(machines)
    ]
    return plan_nodes(spec(RENTED, nodes={"source": "ssh", "hosts": hosts}))


def h100(*gpus: int) -> tuple[NodePlan, ...]:
    return nodes(*(("H100-SXM", count, 2.0) for count in gpus))


def seats(given: Sequence[NodePlan], replicas: int, gpus: int) -> tuple[Seat, ...]:
    """One pool on these nodes."""
    kinds = given_nodes(given, {"agents": {node.name for node in given}})
    fleet = cheapest_fleet([[Load("agents", "H100-SXM", gpus, replicas)]], Market(kinds))
    assert fleet is not None
    return place(fleet, Ledger(given), {"agents": 8000})["agents"]


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[NodePlan, ...], dict[str, set[str]], list[list[Load]]]:
    """A few machines, the pools that may use each, and ways to run each pool."""
    devices = ("H100-SXM", "H200")
    machine = st.tuples(
        st.sampled_from(devices), st.sampled_from([1, 2, 3, 4, 8]), st.sampled_from([1.0, 2.0, 2.5])
    )
    given_ = nodes(*draw(st.lists(machine, min_size=1, max_size=4)))
    usable = {
        f"pool-{number}": draw(st.sets(st.sampled_from([node.name for node in given_]), min_size=1))
        for number in range(draw(st.integers(1, 3)))
    }
    kinds = given_nodes(given_, usable)
    choices = []
    for pool, names in usable.items():
        loads = []
        for device in {node.device for node in given_ if node.name in names}:
            mine = [kind for kind in kinds if kind.device == device and kind.nodes[0].name in names]
            places = frozenset(kind.place for kind in mine)
            largest = max(kind.gpus for kind in mine)
            sizes = draw(st.sets(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=2))
            loads += [
                Load(pool, device, size, draw(st.integers(1, 3)), places) for size in sizes if size <= largest
            ]
        choices.append(loads)
    return given_, usable, choices


@settings(max_examples=300, deadline=None)
@given(cases())
def test_no_other_way_on_the_given_nodes_costs_less(
    case: tuple[tuple[NodePlan, ...], dict[str, set[str]], list[list[Load]]],
) -> None:
    given_, usable, choices = case
    fleet = cheapest_fleet(choices, Market(given_nodes(given_, usable)))
    least = min(_costs(given_, usable, choices), default=None)
    if fleet is None:
        assert least is None
        return
    assert fleet.proven
    seated = place(fleet, Ledger(given_), dict.fromkeys(usable, 8000))
    begun = {seat.node for found in seated.values() for seat in found}
    assert _cost(given_, begun, sum(load.gpus for load in fleet.loads)) == least
    for load in fleet.loads:
        assert len(seated[load.pool]) == load.replicas
        assert {seat.node for seat in seated[load.pool]} <= usable[load.pool]
        assert all(len(seat.gpu_ids) == load.size for seat in seated[load.pool])
    gpus = Counter((seat.node, gpu) for found in seated.values() for seat in found for gpu in seat.gpu_ids)
    ports = Counter((seat.node, seat.port) for found in seated.values() for seat in found)
    assert max(gpus.values()) == max(ports.values()) == 1


def _costs(
    given_: Sequence[NodePlan], usable: Mapping[str, set[str]], choices: Sequence[Sequence[Load]]
) -> Iterator[tuple[float, int, int, int]]:
    """Of every choice in every set of nodes that holds it."""
    for pick in itertools.product(*choices):
        wanted = [(load.size, load) for load in pick for _ in range(load.replicas)]
        wanted.sort(key=lambda pair: -pair[0])
        for count in range(1, len(given_) + 1):
            for begun in itertools.combinations(given_, count):
                free = {node.name: node.device_count for node in begun}
                device = {node.name: node.device for node in begun}
                if _fits(free, device, usable, [load for _, load in wanted]):
                    yield _cost(given_, set(free), sum(load.gpus for load in pick))


def _fits(
    free: Mapping[str, int],
    device: Mapping[str, str],
    usable: Mapping[str, set[str]],
    wanted: Sequence[Load],
) -> bool:
    """By trying every place of every replica."""
    if not wanted:
        return True
    first, *rest = wanted
    return any(
        _fits({**free, name: gpus - first.size}, device, usable, rest)
        for name, gpus in free.items()
        if gpus >= first.size and device[name] == first.device and name in usable[first.pool]
    )


def _cost(given_: Sequence[NodePlan], begun: set[str], in_use: int) -> tuple[float, int, int, int]:
    machines = [node for node in given_ if node.name in begun]
    price = sum(round((node.price_per_hour or 0) * 1e6) for node in machines)
    return price, len(machines), sum(node.device_count for node in machines), in_use


def test_the_cheapest_nodes_are_begun_then_the_fewest() -> None:
    assert [seat.node for seat in seats(h100(8, 2, 4), 3, 2)] == ["gpu-c", "gpu-c", "gpu-b"]
    assert [seat.node for seat in seats(h100(2, 2, 4), 2, 2)] == ["gpu-c", "gpu-c"]
    dear = nodes(("H100-SXM", 4, 3.0), ("H100-SXM", 4, 2.0))
    assert [seat.node for seat in seats(dear, 2, 2)] == ["gpu-b", "gpu-b"]


def test_nodes_without_a_price_are_begun_last() -> None:
    priced = nodes(("A10", 1, 5.0), ("A10", 1, 5.0))
    unpriced = plan_nodes(spec(RENTED, nodes={"source": "ssh", "hosts": [host("gpu-x", "A10", 1)]}))
    given_ = (*unpriced, *priced)
    kinds = given_nodes(given_, {"agents": {node.name for node in given_}})
    fleet = cheapest_fleet([[Load("agents", "A10", 1, 2)]], Market(kinds))
    assert fleet is not None
    assert [seat.node for seat in place(fleet, Ledger(given_), {"agents": 8000})["agents"]] == [
        "gpu-a",
        "gpu-b",
    ]


def test_gpus_of_a_replica_are_an_aligned_run_where_one_is_free() -> None:
    [node] = h100(8)
    ledger = Ledger([node])
    taken = [ledger.take(node, gpus, 8000).gpu_ids for gpus in (1, 4, 2, 1)]
    assert taken == [(0,), (4, 5, 6, 7), (2, 3), (1,)]


def test_gpus_without_an_aligned_run_are_used_all_the_same() -> None:
    [node] = h100(4)
    ledger = Ledger([node])
    ledger.take(node, 1, 8000)
    ledger.take(node, 2, 8000)
    assert ledger.take(node, 1, 8000).gpu_ids == (1,)
    assert ledger.room([node], 1) == 0


def test_the_next_replica_on_a_node_takes_the_next_free_port() -> None:
    assert [seat.port for seat in seats(h100(4), 3, 1)] == [8000, 8001, 8002]
