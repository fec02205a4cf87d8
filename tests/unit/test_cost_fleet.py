"""The bill of a fleet: whole nodes, divided among pools, with its gaps and origins told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.catalog.devices import device_named
from infra.cost import HOURS_PER_MONTH, BilledNode, CostLine, RunningCost, fleet_cost, gpu_price, price_origin

H100 = device_named("H100-SXM")


def node(name: str, gpus: int, usd_per_hour: float | None, **pools: int) -> BilledNode:
    return BilledNode(name, gpus, usd_per_hour, "a price list, 2026-03-24", pools)


POOLS = st.dictionaries(st.sampled_from(["agents", "workers", "orchestrators"]), st.integers(1, 4))
NODES = st.lists(
    st.builds(
        lambda free, price, pools: node("gpu", sum(pools.values()) + free, price, **pools),
        st.integers(0, 4),
        st.floats(0, 100),
        POOLS,
    ),
    max_size=6,
)


def test_a_day_has_24_hours_and_a_month_730() -> None:
    cost = RunningCost(2.40)
    assert (cost.usd_per_day, cost.usd_per_month) == (pytest.approx(57.60), pytest.approx(1752.00))
    assert HOURS_PER_MONTH == 365 * 24 / 12


def test_pools_pay_for_their_gpus_and_the_idle_ones_are_told() -> None:
    bill = fleet_cost(
        [node("gpu-1", 8, 19.20, orchestrators=2, workers=5), node("gpu-2", 1, 2.01, workers=1)]
    )
    lines = {line.name: (line.gpus, round(line.cost.usd_per_hour, 2)) for line in bill.pools if line.cost}
    assert lines == {"orchestrators": (2, 4.80), "workers": (6, 14.01)}
    assert bill.idle.gpus == 1
    assert bill.idle.cost == RunningCost(pytest.approx(2.40))
    assert bill.total == RunningCost(pytest.approx(21.21))


def test_a_price_that_nobody_stated_leaves_open_what_depends_on_it_and_nothing_else() -> None:
    bill = fleet_cost([node("gpu-1", 8, None, workers=8), node("gpu-2", 2, 4.80, orchestrators=2)])
    assert {line.name: line.cost for line in bill.pools} == {
        "workers": None,
        "orchestrators": RunningCost(4.80),
    }
    assert bill.total is None
    assert bill.unpriced == ("gpu-1",)


def test_replicas_on_a_lab_node_share_its_price() -> None:
    bill = fleet_cost([node("node-1", 0, 3.0, agents=2, workers=1)])
    assert [line.cost for line in bill.pools] == [RunningCost(2.0), RunningCost(1.0)]
    assert [line.gpus for line in bill.pools] == [0, 0]
    assert bill.idle.gpus == 0


def test_servers_without_a_gpu_have_a_line_of_their_own() -> None:
    bill = fleet_cost([node("gpu-1", 1, 2.40, agents=1), node("front", 0, 0.10), node("store", 0, 0.20)])
    assert (bill.servers.gpus, bill.servers.cost) == (0, RunningCost(pytest.approx(0.30)))
    assert bill.idle == CostLine("idle", 0, RunningCost(0))
    assert bill.total == RunningCost(pytest.approx(2.70))


def test_a_fleet_without_nodes_costs_nothing() -> None:
    assert fleet_cost([]).total == RunningCost(0)


@given(NODES)
def test_the_lines_add_up_to_the_nodes(nodes: list[BilledNode]) -> None:
    bill = fleet_cost(nodes)
    whole = sum(item.usd_per_hour or 0 for item in nodes)
    lines = [*bill.pools, bill.idle, bill.servers]
    assert bill.total is not None
    assert bill.total.usd_per_hour == pytest.approx(whole)
    assert sum(line.cost.usd_per_hour for line in lines if line.cost) == pytest.approx(whole)
    assert sum(line.gpus for line in lines) == sum(item.gpus for item in nodes)


@pytest.mark.parametrize(
    ("device", "stated", "usd_per_hour", "origin"),
    [
        (
            "H100-SXM",
            None,
            2.40,
            "Spheron rate quoted by the sizing article of March 2026, 2026-03-24",
        ),
        (
            "B200",
            None,
            2.01,
            "Spheron rate quoted by the sizing article of March 2026, 2026-03-24, spot",
        ),
        ("H100-SXM", 1.99, 1.99, "stated in the spec"),
        ("RTX-5090", 0.0, 0.0, "stated in the spec"),
    ],
)
def test_a_stated_price_goes_before_the_dated_one_of_the_catalog(
    device: str, stated: float | None, usd_per_hour: float, origin: str
) -> None:
    price = gpu_price(device_named(device), stated)
    assert price is not None
    assert (price.usd_per_hour, price_origin(price)) == (usd_per_hour, origin)


def test_a_device_without_a_price_has_none_and_says_so() -> None:
    assert gpu_price(device_named("RTX-5090")) is None
    assert price_origin(None) == "no price known"
