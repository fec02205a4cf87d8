"""Whole plans: what is decided, what is refused and in which words, and what the operator is told."""

from __future__ import annotations

import json
from collections import Counter
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_specs import LAB, RENTED, flag, host, notes, plan, rented

from infra.affinity import Spread
from infra.errors import FleetError, PlanError, SizingError
from support.rendered import SPECS, name_of, planned

LLAMA_70B = {"agent": {"config": "meta-llama/Meta-Llama-3.1-70B", "weights": {"path": "/data/llama"}}}


def lab(count: int = 1, kv: str = "64MiB") -> dict[str, Any]:
    return {"source": "lab", "lab": {"count": count, "kv_cache_memory": kv}}


def agents(**numbers: Any) -> dict[str, Any]:
    return {"agents": {"model": "agent", "role": "agent", **numbers}}


def workload(sessions: int, context_tokens: int = 8192) -> dict[str, Any]:
    return {"topology": "flat", "agents": 1, "workflows": sessions, "context_tokens": context_tokens}


def test_a_lab_fleet_is_planned_to_the_token() -> None:
    made = plan(LAB)
    replica = made.replicas[0]
    # 2 layers x 2 x 4 KV heads x 32 x 2 bytes = 1024 bytes per token, so 64 MiB are 65,536 tokens
    assert replica.memory.kv_cache_tokens == 65_536
    assert replica.gate_tolerance == 0
    assert (replica.slots, flag(made, "--max-num-seqs"), flag(made, "--max-model-len")) == (30, "30", "2048")
    assert flag(made, "--kv-cache-memory-bytes") == str(64 << 20)
    assert made.stage == 1
    assert made.cost_per_hour == 0


def test_lab_nodes_stand_in_a_network_of_the_fleets_own() -> None:
    made = plan(LAB, nodes=lab(3))
    network = made.nodes[0].lab and made.nodes[0].lab.network
    assert network == "198.18.19.0/24"
    assert [node.address for node in made.nodes] == ["198.18.19.11", "198.18.19.12", "198.18.19.13"]
    assert made.clients == (network,)
    assert made.endpoint == "http://198.18.19.11:8000/v1"


def test_other_fleets_get_other_networks() -> None:
    names = [f"fleet-{i}" for i in range(50)]
    networks = {plan(LAB, name=name).clients[0] for name in names}
    assert len(networks) > 40


def test_a_lab_node_carries_one_replica_unless_it_is_named() -> None:
    spread = plan(LAB, nodes=lab(2), pools=agents(replicas=2))
    assert [replica.node for replica in spread.replicas] == ["node-1", "node-2"]
    shared = plan(LAB, nodes=lab(1), pools=agents(replicas=2, nodes=["node-1"]))
    assert [(replica.node, replica.port) for replica in shared.replicas] == [
        ("node-1", 8000),
        ("node-1", 8001),
    ]


def test_replicas_are_as_many_as_the_sessions_need() -> None:
    made = rented(host("gpu-a"), workload=workload(200))
    pool = made.pools[0]
    assert pool.slots >= 200 > pool.slots_per_replica * (pool.replicas - 1)
    assert len(made.replicas) == pool.replicas == len(pool.endpoints)


def test_the_largest_replicas_are_placed_before_small_ones_break_up_the_nodes() -> None:
    models = {**LLAMA_70B, "small": {"config": "Qwen/Qwen3-8B", "weights": {"path": "/data/qwen"}}}
    pools = {
        "workers": {
            "model": "small",
            "role": "worker",
            "tensor_parallel_size": 1,
            "replicas": 3,
            "port": 8100,
        },
        "planners": {"model": "agent", "role": "orchestrator", "tensor_parallel_size": 4, "replicas": 1},
    }
    load = {"topology": "hierarchical", "agents": 4, "workflows": 10, "context_tokens": 8192}
    made = rented(
        host("gpu-a", devices=4), host("gpu-b", devices=3), workload=load, models=models, pools=pools
    )
    assert {replica.name: (replica.node, replica.gpu_ids) for replica in made.replicas} == {
        "workers-0": ("gpu-b", (0,)),
        "workers-1": ("gpu-b", (1,)),
        "workers-2": ("gpu-b", (2,)),
        "planners-0": ("gpu-a", (0, 1, 2, 3)),
    }
    assert made.endpoint == "http://203.0.113.97:8000/v1"


def test_a_model_too_large_for_one_gpu_is_split_over_the_fewest() -> None:
    made = rented(host("gpu-a"), models=LLAMA_70B, workload=workload(20))
    replica = made.replicas[0]
    assert (
        flag(made, "--tensor-parallel-size")
        == str(len(replica.gpu_ids))
        == str(made.pools[0].tensor_parallel_size)
    )
    assert len(replica.gpu_ids) > 1


def test_the_cheapest_kind_of_gpu_is_taken() -> None:
    dear, cheap = host("gpu-a", price_per_hour=3.0), host("gpu-b", "A100-40GB", price_per_hour=1.0)
    assert {replica.node for replica in rented(dear, cheap, workload=workload(20)).replicas} == {"gpu-b"}
    assert {
        replica.node
        for replica in rented({**dear, "price_per_hour": 0.5}, cheap, workload=workload(20)).replicas
    } == {"gpu-a"}


def test_a_kind_that_cannot_run_the_model_is_passed_over() -> None:
    made = rented(
        host("gpu-a", price_per_hour=3.0),
        host("gpu-b", "A100-40GB", price_per_hour=1.0),
        workload=workload(20),
        engine={"kv_cache_dtype": "fp8"},
    )
    assert {replica.node for replica in made.replicas} == {"gpu-a"}


def test_whole_machines_are_paid_for() -> None:
    made = rented(host("gpu-a", price_per_hour=2.5), workload=workload(1))
    assert len(made.replicas[0].gpu_ids) == 1
    assert made.cost_per_hour == 20.0


def test_a_missing_price_leaves_the_cost_open() -> None:
    made = rented(host("gpu-a", "A100-40GB"), workload=workload(1))
    assert made.cost_per_hour is None
    assert notes(made, "info") == [
        "nodes.gpu-a: no price is known for A100-40GB: give price_per_hour, or the fleet's cost stays open"
    ]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (
            {"workload": workload(40, 2048)},
            (
                "pools.agents: 40 sessions need 2 nodes without a GPU, and beside the other pools there is room for 1: "
                "10 sessions (20.00 MiB of KV cache) have no seat; add nodes or raise their kv_cache_memory, "
                "or name the pool's nodes, so that replicas share them"
            ),
        ),
        (
            {"nodes": lab(kv="1MiB")},
            (
                "pools.agents: one session of 2048 tokens of tiny-llama does not fit on CPU with "
                "tensor_parallel_size 1: 1.12 MiB of KV cache are missing; raise kv_cache_memory under nodes, or lower "
                "workload.context_tokens"
            ),
        ),
    ],
)
def test_a_lab_fleet_that_does_not_fit_says_what_is_missing(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError) as error:
        plan(LAB, **parts)
    assert str(error.value) == message
    assert error.value.exit_code == 1


UNLIKE = [host("gpu-a"), host("gpu-b", "H200")]
AMPERE = [host("gpu-a", "A100-40GB")]
ONE = [host("gpu-a", devices=1)]
EIGHT = [host("gpu-a")]
UNKNOWN = {"agent": {"config": "Qwen/Qwen3-9B", "weights": {"path": "/m"}}}


@pytest.mark.parametrize(
    ("hosts", "parts", "sentence"),
    [
        (
            ONE,
            {"workload": workload(500)},
            (
                "pools.agents: 500 sessions need * and beside the other pools there is room "
                "for 1: * sessions (* GiB of KV cache) have no seat; add machines to nodes.hosts, or lower *"
            ),
        ),
        (
            ONE,
            {"models": LLAMA_70B},
            (
                "pools.agents: one session of 8192 tokens of meta-llama/Meta-Llama-3.1-70B does "
                "not fit on H100-SXM with tensor_parallel_size 1: * GiB on each GPU are missing; lower *"
            ),
        ),
        (
            UNLIKE,
            {"pools": agents(nodes=["gpu-a", "gpu-b"])},
            (
                "pools.agents.nodes: gpu-a (H100-SXM) and gpu-b (H200) "
                "have unlike devices: give each kind a pool of its own"
            ),
        ),
        (
            [host("gpu-a", "H1000")],
            {},
            "nodes.hosts.gpu-a.device: 'H1000' is not in the catalog of devices; *",
        ),
        (
            AMPERE,
            {"engine": {"kv_cache_dtype": "fp8"}},
            "engine.kv_cache_dtype: A100-40GB (ampere) has no fp8 *",
        ),
        (
            EIGHT,
            {"engine": {"version": "0.19.1"}},
            ("engine.version: there is no locked set of packages for vllm 0.19.1, only for 0.32.0"),
        ),
        (
            EIGHT,
            {"engine": {"version": "0.17.1"}},
            (
                "engine.shutdown_timeout_s: vLLM 0.17.1 cannot finish answers "
                "before it stops (that came with 0.18.0): set 0, or a newer engine.version"
            ),
        ),
        (
            EIGHT,
            {"workload": workload(1, 50_000)},
            ("workload.context_tokens: 50000 tokens are more than the 40960 positions of the model"),
        ),
        (
            EIGHT,
            {"models": UNKNOWN},
            "models.agent.config: 'Qwen/Qwen3-9B' is neither in the catalog nor a *",
        ),
        (
            EIGHT,
            {"pools": agents(max_num_seqs=3000)},
            "pools.agents.max_num_seqs: 3000 sequences need as many tokens in a step, and it has 2048: *",
        ),
        (
            EIGHT,
            {"pools": agents(tensor_parallel_size=3)},
            ("pools.agents.tensor_parallel_size: 3 ranks do not divide 32 attention heads"),
        ),
    ],
)
def test_what_cannot_stand_is_refused_with_its_place(
    hosts: list[dict[str, Any]], parts: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(FleetError) as error:
        rented(*hosts, **parts)
    assert fnmatchcase(str(error.value), sentence)
    assert error.value.exit_code == (2 if isinstance(error.value, SizingError) else 1)


def test_numbers_fixed_too_low_leave_sessions_without_a_seat_and_say_so() -> None:
    made = plan(LAB, workload=workload(100, 2048), nodes=lab(2), pools=agents(replicas=2))
    assert notes(made, "shortfall") == [
        "pools.agents.replicas: 38 of 100 sessions have no seat at full context: they wait, or are computed again"
    ]


def test_a_fixed_max_num_seqs_below_the_peak_is_a_shortfall_of_its_own() -> None:
    made = plan(LAB, pools=agents(max_num_seqs=8, replicas=1))
    assert flag(made, "--max-num-seqs") == "8"
    assert notes(made, "shortfall") == [
        "pools.agents.max_num_seqs: 12 of 20 sessions have no seat at full context: they wait, or are computed again"
    ]


def test_numbers_fixed_too_high_say_what_they_cost() -> None:
    made = rented(host("gpu-a"), workload=workload(10), pools=agents(replicas=4))
    assert "pools.agents: the numbers fixed here take 3 more GPUs than the plan's own 1" in notes(
        made, "info"
    )


def test_splitting_over_pcie_is_warned_of() -> None:
    made = rented(host("gpu-a", "H100-PCIe"), models=LLAMA_70B, workload=workload(5))
    assert made.pools[0].tensor_parallel_size > 1
    assert any("H100-PCIe has no NVLink" in note for note in notes(made, "warning"))


@pytest.mark.parametrize(("load_factor", "at_least"), [(1.0, 11), (1.25, 13), (None, 15)])
def test_behind_a_gateway_a_pool_is_sized_for_its_busiest_replica(
    load_factor: float | None, at_least: int
) -> None:
    hosts = [host(f"gpu-{letter}") for letter in "abc"]
    gateway = {"kind": "nginx", "load_factor": load_factor}
    one_each = agents(tensor_parallel_size=1)
    made = rented(*hosts, workload=workload(500), gateway=gateway, pools=one_each)
    [pool] = made.pools
    assert pool.replicas >= at_least
    assert rented(*hosts, workload=workload(500), pools=one_each).pools[0].replicas == 11
    # A wide replica has many sessions, so its share of them is closer to the mean, and fewer GPUs do.
    free = rented(*hosts, workload=workload(500), gateway=gateway).pools[0]
    assert free.replicas * free.tensor_parallel_size <= pool.replicas
    addresses = {node.name: node.listen_address for node in made.nodes}
    servers = [f"{addresses[replica.node]}:{replica.port}" for replica in made.replicas]
    assert Spread(hashed=True, load_factor=load_factor).peak_on(servers, 500) <= pool.slots_per_replica
    reasons = {decision.name: decision.reason for decision in pool.decisions}
    assert "hashed by session: the 95th percentile" in reasons["peak sessions"]


def test_where_no_replica_can_be_added_for_an_unlucky_ring_the_operator_is_told() -> None:
    """Of the rings of two replicas one in twenty crowds a replica more than the plan foresees."""
    unlucky = 0
    for last in range(1, 250, 6):
        hosts = [{**host(f"gpu-{n}", devices=1), "address": f"203.0.113.{n}"} for n in (last, last + 1)]
        made = rented(*hosts, workload=workload(76), gateway={"kind": "nginx", "load_factor": None})
        assert len(made.replicas) == 2
        told = [text for text in notes(made, "warning") if "hashed by session" in text]
        unlucky += bool(told)
        assert all("more than its 48 slots" in text for text in told)
    assert 0 < unlucky < 42 / 4


def test_two_small_gpus_are_taken_where_their_node_costs_less_than_one_of_a_large_node() -> None:
    hosts = [host("gpu-a"), host("gpu-b", "L40S", devices=2, price_per_hour=0.8)]
    fp8 = {"agent": {**RENTED["models"]["agent"], "quantization": "fp8"}}
    made = rented(*hosts, workload=workload(60), models=fp8, engine={"kv_cache_dtype": "fp8"})
    [pool] = made.pools
    assert (pool.device, pool.replicas, {replica.node for replica in made.replicas}) == ("L40S", 2, {"gpu-b"})
    reasons = {decision.name: decision.reason for decision in pool.decisions}
    said = "2 x L40S in all, on the nodes that cost least of those that seat 60 sessions"
    assert reasons["tensor_parallel_size"] == said


def test_seats_that_hashing_would_not_fill_evenly_are_no_room() -> None:
    hosts = [host(f"gpu-{letter}", devices=1) for letter in "ab"]
    lack = "room for 2: hashed by session, the busiest would get up to 49 of them and seats 48; add machines"
    with pytest.raises(PlanError, match=lack):
        rented(*hosts, workload=workload(80), gateway={"kind": "nginx", "load_factor": 1.22})


def test_hashing_without_a_bound_that_no_replicas_can_bear_is_refused_with_the_remedy() -> None:
    with pytest.raises(PlanError, match=r"pools.agents: hashed without a bound, .* set gateway.load_factor"):
        rented(
            host("gpu-a"),
            workload=workload(40, 32_768),
            models={"agent": {"config": "Qwen/Qwen3-32B", "weights": {"path": "/m"}, "quantization": None}},
            pools=agents(tensor_parallel_size=1),
            gateway={"kind": "nginx", "load_factor": None},
        )


def test_what_is_paid_for_and_unused_is_warned_of() -> None:
    models = {**RENTED["models"], "spare": {"config": "Qwen/Qwen3-32B", "weights": {"path": "/m"}}}
    made = rented(host("gpu-a", devices=1), host("gpu-b", devices=8), workload=workload(5), models=models)
    assert notes(made, "warning") == [
        "nodes.gpu-b: carries nothing, and is paid for all the same",
        "models.spare: no pool serves it",
    ]


def test_flags_of_the_operator_that_change_memory_are_counted() -> None:
    plain = rented(host("gpu-a"), workload=workload(20))
    eager = rented(host("gpu-a"), workload=workload(20), engine={"extra_flags": {"enforce-eager": True}})
    assert eager.replicas[0].memory.cuda_graph_bytes == 0 < plain.replicas[0].memory.cuda_graph_bytes
    assert flag(eager, "--enforce-eager") == ""


def test_sequences_stay_below_the_tokens_of_a_step() -> None:
    made = rented(
        host("gpu-a"), workload=workload(300, 1024), engine={"extra_flags": {"max-num-batched-tokens": 256}}
    )
    assert len(made.replicas) == 2
    assert flag(made, "--max-num-seqs") == "225"


def test_a_split_that_the_engine_cannot_run_is_passed_over() -> None:
    models = {"agent": {"config": "Qwen/Qwen3-235B-A22B-FP8", "weights": {"path": "/m"}}}
    made = rented(host("gpu-a"), models=models, workload=workload(20))
    assert made.pools[0].tensor_parallel_size == 4
    with pytest.raises(SizingError):  # 1536 / 8 is no multiple of the 128 of a quantized block
        rented(host("gpu-a"), models=models, workload=workload(20), pools=agents(tensor_parallel_size=8))


@pytest.mark.parametrize("spec", SPECS, ids=name_of)
def test_a_plan_is_plain_json(spec: Path) -> None:
    made = planned(spec)
    assert json.loads(json.dumps(made.to_dict()))["replicas"][0]["flags"][0]["name"] == "--served-model-name"


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["H100-SXM", "A100-40GB", "H200"]), st.integers(1, 8)),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 800),
    st.sampled_from([1024, 8192, 32_768]),
)
def test_every_plan_that_stands_seats_its_sessions_on_gpus_of_its_own(
    machines: list[tuple[str, int]], sessions: int, context: int
) -> None:
    hosts = [
        host(f"gpu-{chr(ord('a') + i)}", device, devices) for i, (device, devices) in enumerate(machines)
    ]
    try:
        made = rented(*hosts, workload=workload(sessions, context))
    except PlanError as error:
        assert "pools.agents" in str(error)  # noqa: PT017 - not fitting is an answer too, but it must name the pool
        return
    gpus = Counter((replica.node, gpu) for replica in made.replicas for gpu in replica.gpu_ids)
    counts = {node.name: node.device_count for node in made.nodes}
    assert set(gpus.values()) == {1}
    assert all(gpu < counts[node] for node, gpu in gpus)
    assert all(len(replica.gpu_ids) == made.pools[0].tensor_parallel_size for replica in made.replicas)
    assert made.pools[0].slots >= sessions
