"""Which machines are rented, why not others, what fixed numbers cost, and what is said where nothing fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
from advice_cases import seated, wanted
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_specs import RENTED, host, plan

from infra.advice import FleetAdvice, Offer, Wanted, advise, catalog_offers
from infra.advice.fleet_advice import Alternative
from infra.advice.offers import MICRO
from infra.advice.question import Question
from infra.catalog.devices import device_named
from infra.errors import FleetError, PlanError, SizingError
from infra.plan.sizing import missing_bytes
from infra.plan.text import size_text

PCIE, SXM = "H100-PCIe", "H100-SXM"
LLAMA = "meta-llama/Meta-Llama-3.1-70B"
PRICES = {"L40S": 0.8, PCIE: 2.0, SXM: 2.4, "H200": 3.7}


def offered(
    *devices: str, gpus: Sequence[int] = (1, 2, 4, 8), stock: int | None = None, spot: bool = False
) -> list[Offer]:
    return [
        Offer(device, count, PRICES[device] * count, stock=stock, spot=spot)
        for device in devices
        for count in gpus
    ]


def alternative(advice: FleetAdvice, label: str, pool: int = 0) -> Alternative:
    return next(other for other in advice.pools[pool].alternatives if other.label == label)


def rented(advice: FleetAdvice) -> list[str]:
    return [f"{rental.nodes} x ({rental.offer})" for rental in advice.rentals]


@pytest.mark.parametrize(
    ("sessions", "devices", "machines", "price"),
    [
        pytest.param(80, (PCIE, SXM), ["1 x (1x H100-PCIe)"], 2.0, id="of alike the cheaper"),
        pytest.param(80, ("L40S", PCIE), ["1 x (2x L40S)"], 1.6, id="two small ones cost less than a large one"),
        pytest.param(380, (SXM,), ["1 x (4x H100-SXM)"], 9.6, id="one node of four rather than four of one"),
        pytest.param(1240, (SXM,), ["1 x (8x H100-SXM)", "1 x (4x H100-SXM)"], 28.8, id="nodes of two sizes"),
    ],
)  # fmt: skip
def test_the_cheapest_that_fits_is_rented_on_the_fewest_nodes(
    sessions: int, devices: tuple[str, ...], machines: list[str], price: float
) -> None:
    advice = advise([wanted(sessions=sessions)], offered(*devices))
    assert rented(advice) == machines
    assert advice.price_per_hour == price
    assert advice.proven


def test_pools_share_the_nodes_of_an_offer_where_that_is_cheaper() -> None:
    pools = [wanted("boss", 10, model=LLAMA), wanted("workers", 280)]
    apart = [advise([pool], offered(PCIE, SXM, gpus=(8,))) for pool in pools]
    together = advise(pools, offered(PCIE, SXM, gpus=(8,)))
    assert sum(advice.nodes for advice in apart) == 2
    assert [dict(rental.replicas) for rental in together.rentals] == [{"boss": 1, "workers": 3}]
    assert together.price_per_hour == 16.0
    assert sum(pool.price_per_hour for pool in together.pools) == pytest.approx(16.0)
    assert together.notes[-1] == "8x H100-PCIe: 3 of 8 GPUs stay idle, and are paid for"


def test_each_alternative_is_explained_by_the_number_that_decided() -> None:
    offers = [
        *offered(PCIE, "H200"),
        *offered(SXM, gpus=(1,)),
        Offer("A100-80GB-PCIe", 8, 8.32),
        Offer("L40S", 1, 0.8, stock=1),
        Offer("B200", 1, 1.5, spot=True),
    ]
    advice = advise([wanted()], offers)
    assert {other.label: other.reason for other in advice.pools[0].alternatives} == {
        "1 x H100-PCIe": "chosen: the cheapest that fits",
        "2 x H100-PCIe in replicas of 2": "$2.00 more per hour",
        "4 x H100-PCIe in replicas of 4": "$6.00 more per hour",
        "8 x H100-PCIe in replicas of 8": "$14.00 more per hour",
        "1 x H200": "$1.70 more per hour",
        "2 x H200 in replicas of 2": "$5.40 more per hour",
        "4 x H200 in replicas of 4": "$12.80 more per hour",
        "8 x H200 in replicas of 8": "$27.60 more per hour",
        "1 x H100-SXM": "$0.40 more per hour",
        **{
            f"A100-80GB-PCIe{split}": "engine.kv_cache_dtype: A100-80GB-PCIe (ampere) has no fp8 KV cache: use auto, "
            "or Ada, Hopper and newer"
            for split in ("", " in replicas of 2", " in replicas of 4", " in replicas of 8")
        },
        "2 x L40S": "2 replicas of L40S are needed, and the nodes in stock hold 1",
        "1 x B200": "$0.50 less per hour, but at a spot price: nodes can be taken back at any moment",
    }


def test_what_lacks_memory_is_told_in_bytes() -> None:
    pool = wanted(model=LLAMA, sessions=20, context=32768, tensor_parallel_size=1)
    _, missing = missing_bytes(pool.request, device_named(SXM), 1)
    advice = advise([wanted(model=LLAMA, sessions=20, context=32768)], offered(SXM))
    assert missing > 1 << 30
    assert alternative(advice, SXM).reason == (
        f"one session of 32768 tokens lacks {size_text(missing)} on each GPU"
    )


def test_a_split_that_the_heads_do_not_allow_is_told() -> None:
    advice = advise([wanted(model="Qwen/Qwen2.5-0.5B-Instruct")], offered(SXM))
    assert "attention heads" in alternative(advice, f"{SXM} in replicas of 4").reason


@pytest.mark.parametrize(
    ("sessions", "offers", "reason"),
    [
        (160, [Offer(SXM, 2, 4.0), Offer(PCIE, 1, 2.0)], "the same price, on 2 nodes instead of 1"),
        (80, [Offer(SXM, 1, 2.4), Offer(PCIE, 2, 2.4)], "the same price and nodes, with 2 GPUs instead of 1"),
        (80, [Offer(SXM, 1, 2.4), Offer(PCIE, 1, 2.4)],
         "the same price, nodes and GPUs: the device offered first is taken"),
        (80, [Offer(SXM, 2, 4.8)], "the same price, nodes and GPUs, but 2 GPUs in use instead of 1"),
    ],
)  # fmt: skip
def test_of_equal_prices_nodes_then_gpus_then_the_order_decide(
    sessions: int, offers: list[Offer], reason: str
) -> None:
    advice = advise([wanted(sessions=sessions)], offers)
    assert advice.pools[0].device == SXM
    assert reason in [other.reason for other in advice.pools[0].alternatives]


def test_a_split_over_pcie_is_allowed_with_a_warning_and_the_price_without() -> None:
    advice = advise([wanted(model=LLAMA, sessions=8, context=32768)], offered(PCIE, SXM))
    assert advice.pools[0].device == PCIE
    assert advice.notes == (
        "pools.agents: H100-PCIe has no NVLink: tensor parallelism over PCIe costs speed",
        "pools.agents: 2 x H100-SXM in replicas of 2 would not split a replica over PCIe, for $0.80 more per hour",
    )


def test_over_pcie_a_replica_is_split_no_further_than_it_must_be_unless_that_is_fixed() -> None:
    """Wide splits keep fewer copies of the weights, so that by memory alone they seat more."""
    offers = offered(PCIE)
    advice = advise([wanted(sessions=5000, context=32768)], offers)
    fixed = advise([wanted(sessions=5000, context=32768, tensor_parallel_size=2)], offers)
    assert advice.pools[0].tensor_parallel_size == 1
    assert fixed.price_per_hour < advice.price_per_hour
    wide = next(other for other in advice.pools[0].alternatives if other.tensor_parallel_size == 2)
    assert (wide.held_back, wide.price_per_hour) == (True, fixed.price_per_hour)
    assert wide.reason.endswith(
        "less per hour, but over PCIe a replica is split no further than it must be: "
        "tensor_parallel_size: 2 in the pool takes it"
    )
    assert fixed.pools[0].fixed[0].reason == "costs nothing"


def test_spot_prices_are_only_taken_where_they_are_admitted() -> None:
    offers = [*offered(SXM), Offer("B200", 1, 1.5, spot=True)]
    admitted = advise([wanted()], offers, spot=True)
    assert rented(advise([wanted()], offers)) == ["1 x (1x H100-SXM)"]
    assert rented(admitted) == ["1 x (1x B200)"]
    assert admitted.notes == ("1x B200: a spot price: nodes can be taken back at any moment",)


@pytest.mark.parametrize(
    ("fixed", "path", "extra", "reason"),
    [
        ({"tensor_parallel_size": 2}, "tensor_parallel_size", 2.0, "costs $2.00 per hour more than 1 x H100-PCIe"),
        ({"replicas": 3}, "replicas", 4.0, "costs $4.00 per hour more than 1 x H100-PCIe"),
        ({"max_num_seqs": 50}, "max_num_seqs", 2.0, "costs $2.00 per hour more than 1 x H100-PCIe"),
        ({"device": "H200"}, "device", 1.7, "costs $1.70 per hour more than 1 x H100-PCIe"),
        ({"tensor_parallel_size": 1}, "tensor_parallel_size", 0.0, "costs nothing"),
    ],
)  # fmt: skip
def test_what_the_operator_fixes_is_kept_and_priced(
    fixed: dict[str, int | str], path: str, extra: float, reason: str
) -> None:
    advice = advise([wanted(**fixed)], offered(PCIE, SXM, "H200"))  # type: ignore[arg-type]
    (number,) = advice.pools[0].fixed
    assert (number.path, number.value) == (f"pools.agents.{path}", str(fixed[path]))
    assert (number.extra_per_hour, number.reason) == (pytest.approx(extra), reason)


@pytest.mark.parametrize(
    ("pools", "offers", "error", "message"),
    [
        ([wanted(model=LLAMA, sessions=5)], offered("L40S", gpus=(1,)), PlanError,
         "pools.agents: nothing on offer carries it: L40S: one session of 8192 tokens lacks "),
        ([wanted()], offered(SXM, spot=True), PlanError,
         "pools.agents: nothing on offer carries it: H100-SXM: at a spot price only, which --spot admits"),
        ([wanted(device="L40S")], offered(SXM), PlanError,
         "pools.agents: L40S is not on offer, and the catalog has no price of it: state an offer, as 1xL40S@2.40"),
        ([wanted(tensor_parallel_size=8)], offered(SXM, gpus=(1, 4)), PlanError,
         "pools.agents.tensor_parallel_size: no node on offer has 8 GPUs of one kind"),
        ([wanted(sessions=900, replicas=1)], offered(SXM, gpus=(1,)), PlanError, "1 replica, as fixed, seat"),
        ([wanted(sessions=900)], offered(SXM, gpus=(1,), stock=2), PlanError,
         "replicas of H100-SXM are needed, and the nodes in stock hold 2: offer more nodes"),
        ([wanted("one"), wanted("two")], offered(SXM, gpus=(1,), stock=1), PlanError,
         "pools: the nodes in stock hold each of one, two, but not all together: offer more nodes"),
        ([wanted()], [Offer("A100-40GB", 1, 1.0)], SizingError, "pools.agents: engine.kv_cache_dtype: A100-40GB"),
    ],
)  # fmt: skip
def test_what_cannot_be_rented_is_one_sentence_with_its_number(
    pools: list[object], offers: list[Offer], error: type[FleetError], message: str
) -> None:
    with pytest.raises(error) as raised:
        advise(pools, offers)  # type: ignore[arg-type]
    assert message in str(raised.value)


def test_each_offer_is_told_what_the_fleet_would_cost_on_it_alone() -> None:
    offers = [
        Offer(SXM, 8, 19.2, seller="dear"),
        Offer(SXM, 1, 2.4, seller="near"),
        Offer("H200", 2, 20.0),
        Offer("L40S", 4, 18.0, stock=1),
    ]
    advice = advise([wanted(sessions=8, model=LLAMA, context=32768), wanted("small", 10)], offers)
    assert [(str(verdict.offer), verdict.nodes_rented) for verdict in advice.offers] == [
        ("dear: 8x H100-SXM", 1),
        ("near: 1x H100-SXM", 0),
        ("2x H200", 0),
        ("4x L40S", 0),
    ]
    reasons = [verdict.reason for verdict in advice.offers]
    assert reasons[0] == "rented: it carries the fleet"
    assert reasons[1].startswith("does not carry agents: one session of 32768 tokens lacks ")
    assert reasons[2:] == ["$0.80 more per hour", "with 1 node in stock it does not hold the fleet"]


def test_an_offer_does_not_carry_a_pool_that_is_fixed_to_another_device_or_split() -> None:
    offers = [Offer(SXM, 8, 19.2), Offer(SXM, 1, 2.4), Offer("L40S", 8, 6.4)]
    advice = advise([wanted("wide", tensor_parallel_size=2), wanted("here", device=SXM)], offers)
    assert [verdict.reason for verdict in advice.offers] == [
        "$10.40 more per hour",
        "rented beside others; alone: does not carry wide: a replica has 2 GPUs",
        "rented beside others; alone: does not carry here: it is fixed to H100-SXM",
    ]


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 2000), st.sampled_from([2048, 8192, 32768]), st.sampled_from([(8,), (1, 2, 4, 8)]))
def test_what_an_alternative_is_said_to_cost_is_what_the_fleet_costs_with_it_fixed(
    sessions: int, context: int, gpus: tuple[int, ...]
) -> None:
    beside, offers = wanted("boss", 7, context, tensor_parallel_size=1), offered(PCIE, "H200", gpus=gpus)
    pool = wanted(sessions=sessions, context=context)
    advice = advise([pool, beside], offers)
    for other in advice.pools[0].alternatives:
        if other.price_per_hour is None:
            continue
        request = dataclasses.replace(pool.request, tensor_parallel_size=other.tensor_parallel_size)
        cost = Question([Wanted(request, other.device), beside], offers).answer().cost
        assert cost.price_micro == round(other.price_per_hour * MICRO)
        assert other.extra_per_hour == pytest.approx(other.price_per_hour - advice.price_per_hour)
        assert other.extra_per_hour >= 0 or other.held_back
        assert other.seats is not None
        assert other.seats >= sessions


def hosts_of(advice: FleetAdvice) -> list[dict[str, object]]:
    """The rented machines as a spec names them."""
    offers = [rental.offer for rental in advice.rentals for _ in range(rental.nodes)]
    return [
        {
            **host(f"gpu-{index}", offer.device, offer.gpus),
            "address": f"10.0.{index // 250}.{index % 250 + 1}",
            "price_per_hour": offer.price_per_hour / offer.gpus,
        }
        for index, offer in enumerate(offers)
    ]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 900),
    st.sampled_from([2048, 8192]),
    st.sampled_from(["Qwen/Qwen3-8B", "Qwen/Qwen3-32B", LLAMA]),
    st.sampled_from(["L40S", PCIE, SXM]),
    st.sampled_from([4, 8]),
)
def test_plan_and_advice_split_alike(sessions: int, context: int, model: str, device: str, gpus: int) -> None:
    """On nodes enough of one kind both choose the same shape: over PCIe no wider a split than the model needs."""
    try:
        advice = advise([wanted("agents", sessions, context, model)], offered(device, gpus=(gpus,)))
    except FleetError:
        return
    [asked] = advice.pools
    hosts = [
        {"name": f"gpu-{n}", "address": f"10.0.0.{n + 1}", "device": device, "devices": gpus}
        for n in range(advice.nodes + 1)
    ]
    made = plan(
        RENTED,
        workload={"topology": "flat", "agents": 1, "workflows": sessions, "context_tokens": context},
        models={"agent": {"config": model, "weights": {"path": "/data"}, "quantization": "fp8"}},
        nodes={"source": "ssh", "hosts": hosts},
        engine={"kv_cache_dtype": "fp8", "gpu_memory_utilization": 0.9},
    )
    [planned] = made.pools
    assert (planned.tensor_parallel_size, planned.replicas) == (asked.tensor_parallel_size, asked.replicas)
    assert len({replica.node for replica in made.replicas}) == advice.nodes


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 600), st.sampled_from([2048, 8192]), st.sampled_from([(8,), (1, 2, 4, 8), (4, 1)]))
def test_the_plan_stands_on_the_machines_that_the_advice_rents(
    workflows: int, context: int, gpus: tuple[int, ...]
) -> None:
    models = {"boss": "Qwen/Qwen3-8B", "workers": "Qwen/Qwen2.5-0.5B-Instruct"}
    sessions = {"boss": workflows, "workers": 2 * workflows}
    asked = [wanted(pool, sessions[pool], context, models[pool], kv_cache_dtype="auto") for pool in models]
    advice = advise(asked, offered("L40S", SXM, gpus=gpus))
    hosts = hosts_of(advice)
    made = plan(
        RENTED,
        workload={"topology": "hierarchical", "agents": 2, "workflows": workflows, "context_tokens": context},
        models={
            pool: {"config": config, "weights": {"path": "/data"}, "quantization": "fp8"}
            for pool, config in models.items()
        },
        pools={
            pool.name: {
                "model": pool.name,
                "role": "worker" if pool.name == "workers" else "orchestrator",
                "nodes": [machine["name"] for machine in hosts if machine["device"] == pool.device],
                "replicas": pool.replicas,
                "tensor_parallel_size": pool.tensor_parallel_size,
                "port": 8000 if pool.name == "boss" else 9000,
            }
            for pool in advice.pools
        },
        nodes={"source": "ssh", "hosts": hosts},
    )
    assert made.cost_per_hour == pytest.approx(advice.price_per_hour, abs=0.01)
    assert [pool.slots for pool in made.pools] == [pool.slots for pool in advice.pools]
    assert {node.name for node in made.nodes} == {replica.node for replica in made.replicas}
    assert seated([(rental.nodes, rental.replicas) for rental in advice.rentals]) == {
        pool.name: pool.replicas for pool in made.pools
    }


def test_the_catalogs_offers_have_a_price_a_date_and_a_source() -> None:
    offers = catalog_offers()
    assert {(offer.device, offer.gpus) for offer in offers} >= {(SXM, gpus) for gpus in (1, 2, 4, 8)}
    assert all(offer.price_per_hour > 0 and "20" in offer.price_source for offer in offers)
