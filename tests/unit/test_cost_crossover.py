"""Own replicas against a managed API: closed forms to the cent, and properties for all other numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.cost import (
    ApiPrice,
    Interaction,
    ReplicaRate,
    break_even,
    compare,
    load_api_prices,
    mixed_price,
    prorated_replicas_win,
    sensitivity,
    usd_per_interaction,
)

MIXED = mixed_price(0.40)
LOOP = Interaction(950, 0)
H100 = ReplicaRate(usd_per_hour=2.40, tokens_per_hour=22_000 * 950)

RATES = st.builds(ReplicaRate, st.floats(0.1, 50), st.floats(1e5, 1e9))
PRICES = st.floats(0.01, 20).map(mixed_price)
INTERACTIONS = st.builds(Interaction, st.integers(1, 20_000), st.integers(0, 5000))


@pytest.mark.parametrize(
    ("per_hour", "api", "prorated", "billed", "replicas"),
    [
        (500, 0.19, 0.0545, 2.40, 1),
        (100, 0.038, 0.0109, 2.40, 1),
        (0, 0.0, 0.0, 2.40, 1),
        (22_000, 8.36, 2.40, 2.40, 1),
        (22_001, 8.36038, 2.4001, 4.80, 2),
        (44_000, 16.72, 4.80, 4.80, 2),
    ],
)
def test_a_load_costs_what_the_closed_forms_say(
    per_hour: float, api: float, prorated: float, billed: float, replicas: int
) -> None:
    both = compare(per_hour, LOOP, H100, MIXED)
    assert both.api_usd_per_hour == pytest.approx(api)
    assert both.prorated_usd_per_hour == pytest.approx(prorated, abs=5e-5)
    assert both.billed_usd_per_hour == pytest.approx(billed)
    assert both.replicas == replicas


def test_the_break_even_of_one_gpu_is_its_price_over_that_of_an_interaction() -> None:
    even = break_even(LOOP, H100, MIXED)
    assert even.interactions_per_hour == pytest.approx(2.40 / (0.40 * 950 / 1e6))
    assert round(even.interactions_per_hour) == 6316
    assert round(even.utilization, 3) == 0.287
    assert even.always_from_interactions_per_hour == even.interactions_per_hour


def test_sessions_that_must_be_seated_keep_replicas_that_the_load_does_not_need() -> None:
    both = compare(12_000_000 / 950, LOOP, H100, MIXED, least_replicas=5)
    assert (both.replicas, both.billed_usd_per_hour) == (5, pytest.approx(12.00))
    assert both.utilization == pytest.approx(12_000_000 / (5 * 22_000 * 950))
    assert not both.own_replicas_win


def test_a_replica_that_serves_too_little_never_pays() -> None:
    even = break_even(LOOP, ReplicaRate(2.40, 2.40 / 0.40 * 1e6), MIXED)
    assert even.utilization == pytest.approx(1)
    assert even.always_from_interactions_per_hour is None


@pytest.mark.parametrize(
    ("interaction", "dollars"),
    [
        (Interaction(1_000_000, 0), 0.15),
        (Interaction(1_000_000, 0, cached_input_tokens=1_000_000), 0.075),
        (Interaction(0, 1_000_000), 0.60),
        (Interaction(900, 50, cached_input_tokens=600), (300 * 0.15 + 600 * 0.075 + 50 * 0.60) / 1e6),
    ],
)
def test_each_kind_of_token_has_its_price(interaction: Interaction, dollars: float) -> None:
    assert usd_per_interaction(load_api_prices()["gpt-4o-mini"], interaction) == pytest.approx(dollars)


def test_every_price_of_an_api_has_a_day_and_a_source() -> None:
    for name, price in load_api_prices().items():
        assert price.name == name
        assert len(price.date.split("-")) == 3
        assert price.source
        cheaper, dearer = price.cached_input_usd_per_million_tokens, price.output_usd_per_million_tokens
        assert 0 < cheaper <= price.input_usd_per_million_tokens <= dearer


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ((0, 0, 0), "at least one token"),
        ((10, -1, 0), "at least one token"),
        ((10, 5, 11), "cached_input_tokens: 11 of 10"),
        ((10, 5, -1), "cached_input_tokens: -1 of 10"),
    ],
)
def test_an_interaction_that_cannot_be_is_refused(numbers: tuple[int, int, int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Interaction(*numbers)


def test_the_length_of_an_interaction_moves_the_load_and_never_the_utilization() -> None:
    rows = sensitivity(LOOP, H100, MIXED)
    assert len(rows) == 9
    for factor, utilization in ((0.5, 0.574), (1.0, 0.287), (2.0, 0.144)):
        of_price = [row for row in rows if row.price_factor == factor]
        assert {round(row.break_even.utilization, 3) for row in of_price} == {utilization}
        assert [row.tokens_per_interaction for row in of_price] == [475, 950, 1900]
        loads = [row.break_even.interactions_per_hour for row in of_price]
        assert loads == pytest.approx([2 * loads[1], loads[1], loads[1] / 2])


def test_half_of_one_token_is_one() -> None:
    assert {row.tokens_per_interaction for row in sensitivity(Interaction(1, 0, 1), H100, MIXED)} == {1, 2}


@given(RATES, PRICES, INTERACTIONS, st.floats(1, 1e6))
def test_the_prorated_formula_has_one_winner_at_any_load(
    rate: ReplicaRate, price: ApiPrice, interaction: Interaction, per_hour: float
) -> None:
    both = compare(per_hour, interaction, rate, price)
    if both.api_usd_per_hour != pytest.approx(both.prorated_usd_per_hour):
        wins = both.api_usd_per_hour > both.prorated_usd_per_hour
        assert wins == prorated_replicas_win(interaction, rate, price)


@given(RATES, PRICES, INTERACTIONS, st.floats(0, 1e6), st.integers(1, 5))
def test_replicas_are_billed_whole_and_never_below_their_prorated_cost(
    rate: ReplicaRate, price: ApiPrice, interaction: Interaction, per_hour: float, least: int
) -> None:
    both = compare(per_hour, interaction, rate, price, least)
    assert both.replicas >= least
    assert both.billed_usd_per_hour == both.replicas * rate.usd_per_hour
    assert both.billed_usd_per_hour * (1 + 1e-6) >= both.prorated_usd_per_hour
    assert both.utilization <= 1 + 1e-6


@given(RATES, PRICES, INTERACTIONS)
def test_below_the_break_even_the_api_is_cheaper_and_just_above_it_the_replica(
    rate: ReplicaRate, price: ApiPrice, interaction: Interaction
) -> None:
    even = break_even(interaction, rate, price)
    assert not compare(even.interactions_per_hour * 0.999, interaction, rate, price).own_replicas_win
    if even.utilization < 0.998:
        assert compare(even.interactions_per_hour * 1.001, interaction, rate, price).own_replicas_win


@given(st.floats(0.01, 0.97), st.integers(1, 60), st.floats(0.001, 0.999))
def test_above_the_last_break_even_no_load_is_cheaper_on_the_api(
    utilization: float, more_replicas: int, part: float
) -> None:
    rate = ReplicaRate(usd_per_hour=utilization, tokens_per_hour=1e6)
    token = Interaction(1, 0)
    even = break_even(token, rate, mixed_price(1.0))
    last = even.always_from_interactions_per_hour
    assert last is not None
    above = compare(last * 1.0001 + 1e6 * (more_replicas - part), token, rate, mixed_price(1.0))
    assert above.billed_usd_per_hour <= above.api_usd_per_hour * (1 + 1e-9)
    begun = (round(last / even.interactions_per_hour) - 1) * 1e6  # the last replica that begins too early
    assert not compare((begun + last) / 2, token, rate, mixed_price(1.0)).own_replicas_win


@given(st.floats(0.01, 0.97))
def test_the_last_break_even_is_a_whole_number_of_break_evens(utilization: float) -> None:
    even = break_even(Interaction(1, 0), ReplicaRate(utilization, 1e6), mixed_price(1.0))
    assert even.always_from_interactions_per_hour is not None
    ratio = even.always_from_interactions_per_hour / even.interactions_per_hour
    assert math.isclose(ratio, round(ratio))
