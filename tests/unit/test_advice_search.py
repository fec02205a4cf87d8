"""The search finds what trying everything finds: covers, nodes for given replicas, and whole fleets."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from advice_cases import cheapest_by_trying_all, seated
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.advice import Offer
from infra.packing import Cost, Fleet, Load, Market, Row, cheapest_fleet, cover, pack, search, seat
from infra.packing.cover import Column, Supply, cheapest_cover

DEVICES = ("H100-SXM", "H200", "L40S")
exhaustive = settings(max_examples=400, deadline=None)


@st.composite
def markets(draw: st.DrawFn, devices: int) -> list[Offer]:
    """A few offers of each device: linear prices, so that many fleets tie, or odd ones, and short stocks."""
    found = []
    for device in DEVICES[:devices]:
        for _ in range(draw(st.integers(1, 3))):
            gpus = draw(st.sampled_from([1, 2, 3, 4, 6, 8]))
            price = draw(st.sampled_from([2.0 * gpus, 2.0 * gpus, 1.37 * gpus, 2.5 * gpus + 0.75, 7.0]))
            found.append(Offer(device, gpus, price, stock=draw(st.sampled_from([None, None, 1, 2]))))
    return found


@st.composite
def fleets(draw: st.DrawFn) -> tuple[list[Offer], list[list[Load]]]:
    """Up to three pools, each with a few ways to run, and what is offered."""
    devices = draw(st.integers(1, 3))
    offers = draw(markets(devices))
    sizes = draw(st.sampled_from([(1, 2, 4, 8), (1, 2, 3, 4), (2, 3, 5)]))
    largest = {device: max(o.gpus for o in offers if o.device == device) for device in DEVICES[:devices]}
    ways = [(device, size) for device in largest for size in sizes if size <= largest[device]]
    choices = [
        [
            Load(f"pool-{number}", device, size, draw(st.integers(1, 4 if size == 1 else 2)))
            for device, size in draw(st.lists(st.sampled_from(ways), min_size=1, max_size=4, unique=True))
        ]
        for number in range(draw(st.integers(1, 3)) if ways else 0)
    ]
    return offers, choices


@exhaustive
@given(fleets())
def test_the_fleet_is_the_cheapest_of_all_then_has_the_fewest_nodes_and_gpus(
    case: tuple[list[Offer], list[list[Load]]],
) -> None:
    offers, choices = case
    found = cheapest_fleet(choices, Market(offers))
    assert _numbers(found) == (cheapest_by_trying_all(choices, offers) if choices else (0, 0, 0, 0))
    if found is not None:
        assert found.proven
        _assert_all_are_seated(found, offers)


def rows(replicas: dict[int, int]) -> dict[Row, int]:
    return {Row(size): count for size, count in replicas.items()}


def _numbers(found: Fleet | None) -> tuple[int, ...] | None:
    if found is None:
        return None
    cost = found.cost
    return cost.price_micro, cost.nodes, cost.gpus, sum(load.gpus for load in found.loads)


def _assert_all_are_seated(found: Fleet, offers: Sequence[Offer]) -> None:
    """Every replica has its GPUs, no node more than it has, no offer more nodes than there are, none is empty."""
    for device, packing in found.packings.items():
        loads = [load for load in found.loads if load.device == device]
        size = {load.pool: load.size for load in loads}
        rentals = seat(packing, [(load.pool, load.row, load.replicas) for load in loads])
        assert seated([(rental.nodes, dict(rental.load)) for rental in rentals]) == {
            load.pool: load.replicas for load in loads
        }
        for rental in rentals:
            in_use = sum(size[pool] * replicas for pool, replicas in rental.load)
            assert 0 < in_use == rental.kind.gpus - rental.idle_gpus <= rental.kind.gpus
        for offer in offers:
            rented = sum(count for other, _, count in packing.nodes if other == offer)
            assert offer.stock is None or rented <= offer.stock * offers.count(offer)


@exhaustive
@given(st.data())
def test_a_cover_costs_no_more_than_any_other(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 3))
    step = st.tuples(st.integers(1, 12), st.sampled_from([None, 1, 2, 3]))
    supplies = [
        Supply(tuple(sorted(steps, key=lambda pair: pair[0])))
        for steps in data.draw(st.lists(st.lists(step, min_size=1, max_size=2), min_size=1, max_size=3))
    ]
    covers = st.tuples(*[st.integers(0, 5)] * rows)
    columns = [
        Column(index, each)
        for index in range(len(supplies))
        for each in data.draw(st.lists(covers, min_size=1, max_size=2))
    ]
    need = data.draw(st.tuples(*[st.integers(0, 8)] * rows))
    found = cheapest_cover(supplies, columns, need)
    possible = [
        _cover_cost(supplies, columns, counts)
        for counts in itertools.product(range(9), repeat=len(columns))
        if _covers(supplies, columns, counts, need)
    ] if len(columns) <= 4 else None  # fmt: skip
    if found is not None:
        assert _covers(supplies, columns, found.counts, need)
    if possible is not None:
        assert (found and _cover_cost(supplies, columns, found.counts)) == min(possible, default=None)


def _used(columns: Sequence[Column], counts: Sequence[int], supply: int) -> int:
    return sum(count for count, column in zip(counts, columns, strict=True) if column.supply == supply)


def _covers(
    supplies: Sequence[Supply], columns: Sequence[Column], counts: Sequence[int], need: Sequence[int]
) -> bool:
    in_stock = all(_used(columns, counts, index) <= supply.most for index, supply in enumerate(supplies))
    return in_stock and all(
        sum(count * column.covers[row] for count, column in zip(counts, columns, strict=True)) >= units
        for row, units in enumerate(need)
    )


def _cover_cost(supplies: Sequence[Supply], columns: Sequence[Column], counts: Sequence[int]) -> int:
    return sum(supply.cost(_used(columns, counts, index)) for index, supply in enumerate(supplies))


@pytest.mark.parametrize(
    ("offers", "replicas", "cost"),
    [
        pytest.param({8: 16.0, 1: 2.0}, {1: 9}, Cost(18_000_000, 2, 9), id="equal prices: the fewest nodes"),
        pytest.param({8: 15.0, 1: 2.0}, {1: 7}, Cost(14_000_000, 7, 7), id="seven single GPUs are cheaper"),
        pytest.param(
            {8: 13.0, 1: 2.0}, {1: 7}, Cost(13_000_000, 1, 8), id="a whole node with an idle GPU is"
        ),
        pytest.param({8: 16.0}, {4: 1, 2: 1, 1: 2}, Cost(16_000_000, 1, 8), id="small ones fit between"),
        pytest.param({6: 6.0}, {4: 2, 2: 2}, Cost(12_000_000, 2, 12), id="a node of six holds 4 and 2"),
        pytest.param(
            {4: 4.0}, {3: 2, 2: 2}, Cost(12_000_000, 3, 12), id="sizes that do not divide: 3, 3, 2+2"
        ),
        pytest.param(
            {8: 8.0}, {3: 2, 2: 1}, Cost(8_000_000, 1, 8), id="patterns fill a node to the last GPU"
        ),
        pytest.param({1: 1.0, 2: 2.0}, {4: 1}, None, id="no node is large enough"),
    ],
)
def test_replicas_are_packed_into_whole_nodes(
    offers: dict[int, float], replicas: dict[int, int], cost: Cost | None
) -> None:
    packing = pack([Offer("H100-SXM", gpus, price) for gpus, price in offers.items()], rows(replicas))
    assert (packing and packing.cost) == cost


def test_the_cheaper_seller_is_emptied_first() -> None:
    offers = [Offer("H200", 1, 3.0, seller="dear"), Offer("H200", 1, 2.0, seller="cheap", stock=2)]
    packing = pack(offers, rows({1: 3}))
    assert packing is not None
    assert [(offer.seller, count) for offer, _, count in packing.nodes] == [("cheap", 2), ("dear", 1)]


def test_a_thousand_replicas_of_four_sizes_are_packed_and_proven() -> None:
    offers = [Offer("H100-SXM", gpus, 2.4 * gpus - 0.1 * (gpus > 2)) for gpus in (1, 2, 4, 8)]
    packing = pack(offers, rows({8: 100, 4: 200, 2: 300, 1: 401}))
    assert packing is not None
    assert packing.proven
    assert packing.cost.gpus == 2601


def test_a_wish_beyond_all_measure_is_packed_all_the_same() -> None:
    packing = pack([Offer("H100-SXM", 8, 19.2), Offer("H100-SXM", 1, 2.4)], rows({1: 10**9 + 1}))
    assert packing is not None
    assert packing.cost == Cost(24 * 10**14 + 2_400_000, 125_000_001, 10**9 + 1)
    assert len(seat(packing, [("agents", Row(1), 10**9 + 1)])) == 2


def test_a_search_that_ends_early_says_that_its_answer_is_not_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    offers = [Offer("H100-SXM", gpus, 2.4 * gpus) for gpus in (1, 2, 4, 8)]
    choices = [[Load(f"pool-{n}", "H100-SXM", size, 9 // size) for size in (1, 2, 4)] for n in range(3)]
    whole = cheapest_fleet(choices, Market(offers))
    monkeypatch.setattr(search, "MOST_STEPS", 3)
    short = cheapest_fleet(choices, Market(offers))
    assert whole is not None
    assert short is not None
    assert (whole.proven, short.proven) == (True, False)
    monkeypatch.setattr(cover, "MOST_BRANCHES", 1)
    packing = pack(offers, rows({1: 9}))
    assert packing is None or not packing.proven


def test_equal_fleets_are_decided_alike_every_time() -> None:
    offers = [Offer(device, gpus, 2.0 * gpus) for device in ("H200", "H100-SXM") for gpus in (1, 2, 4)]
    choices = [[Load("agents", device, size, 4 // size) for device in DEVICES[:2] for size in (4, 2, 1)]]
    found = cheapest_fleet(choices, Market(offers))
    assert found is not None
    assert found.loads == (Load("agents", "H100-SXM", 1, 4),)
