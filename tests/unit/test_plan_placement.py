"""Who sits where: no GPU twice, no replica across nodes, few machines begun, ports that do not collide."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from plan_specs import RENTED, host, spec

from infra.plan.nodes import plan_nodes
from infra.plan.placement import Ledger, Seat


def nodes(*devices: int) -> Ledger:
    hosts = [host(f"gpu-{chr(ord('a') + i)}", devices=count) for i, count in enumerate(devices)]
    return Ledger(plan_nodes(spec(RENTED, nodes={"source": "ssh", "hosts": hosts})))


def seats(ledger: Ledger, replicas: int, gpus: int) -> tuple[Seat, ...]:
    return ledger.place(ledger.nodes, replicas, gpus, 8000, pinned=False)


@given(
    st.lists(st.integers(1, 8), min_size=1, max_size=5),
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from([1, 2, 4, 8])), max_size=8),
)
def test_no_gpu_is_given_twice_and_none_from_another_node(
    devices: list[int], wishes: list[tuple[int, int]]
) -> None:
    ledger = nodes(*devices)
    taken: list[tuple[str, int]] = []
    ports: list[tuple[str, int]] = []
    for replicas, gpus in wishes:
        if ledger.room(ledger.nodes, gpus, pinned=False) < replicas:
            continue
        for seat in seats(ledger, replicas, gpus):
            assert len(seat.gpu_ids) == gpus
            taken += [(seat.node, gpu) for gpu in seat.gpu_ids]
            ports.append((seat.node, seat.port))
    offered = {(node.name, gpu) for node in ledger.nodes for gpu in range(node.device_count)}
    assert max(Counter(taken).values(), default=1) == 1
    assert set(taken) <= offered
    assert max(Counter(ports).values(), default=1) == 1


def test_the_fullest_node_that_has_room_is_filled_first() -> None:
    ledger = nodes(8, 2, 4)
    assert [seat.node for seat in seats(ledger, 3, 2)] == ["gpu-b", "gpu-c", "gpu-c"]


def test_gpus_of_a_replica_are_an_aligned_run_where_one_is_free() -> None:
    ledger = nodes(8)
    assert seats(ledger, 1, 1)[0].gpu_ids == (0,)
    assert seats(ledger, 1, 4)[0].gpu_ids == (4, 5, 6, 7)
    assert seats(ledger, 1, 2)[0].gpu_ids == (2, 3)
    assert seats(ledger, 1, 1)[0].gpu_ids == (1,)


def test_gpus_without_an_aligned_run_are_used_all_the_same() -> None:
    ledger = nodes(4)
    seats(ledger, 1, 1)
    ledger.place(ledger.nodes, 1, 2, 8000, pinned=False)
    assert ledger.room(ledger.nodes, 1, pinned=False) == 1


def test_the_next_replica_on_a_node_takes_the_next_free_port() -> None:
    assert [seat.port for seat in seats(nodes(4), 3, 1)] == [8000, 8001, 8002]
