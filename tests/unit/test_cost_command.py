"""`fleet cost`: the bill of a plan, its comparison with managed APIs, and what it refuses."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_specs import LAB, RENTED, host, plan, rented
from rich.console import Console

from infra.cli import main as cli
from infra.cli.cost import as_json
from infra.cli.cost_tables import cost_tables
from infra.cost.command import Asked, compare_plan
from infra.errors import SizingError
from infra.plan import FleetPlan
from infra.plan.summary import summarise

FEW = {"topology": "flat", "agents": 1, "workflows": 20, "context_tokens": 8192}
"""Sessions that one H100 seats."""

Cost = Callable[..., tuple[int, str, str]]

LOOP = {"tokens_in": ["950"], "tokens_out": ["0"]}
H100_TOKENS_PER_S = ["5805.5556"]
"""22,000 interactions of 950 tokens an hour: the H100 of the sizing article of March 2026."""


@pytest.fixture
def cost(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cost:
    """Runs `fleet cost` on a spec with further words; its exit code, stdout and stderr."""

    def run(spec: dict[str, Any], *words: str) -> tuple[int, str, str]:
        path = tmp_path / "a.fleet.yaml"
        path.write_text(json.dumps(spec), encoding="utf-8")
        code = cli.run(["cost", str(path), *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def on(*hosts: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {**RENTED, "workload": FEW, "nodes": {"source": "ssh", "hosts": list(hosts)}, **parts}


def one_gpu() -> FleetPlan:
    return rented(host("gpu-a", devices=1), workload=FEW)


def two_pools(**machine: Any) -> FleetPlan:
    """20 orchestrators and 180 workers of 8K on two machines, of which one has a GPU too many."""
    return rented(
        host("gpu-a", devices=1, **machine),
        host("gpu-b", "H100-PCIe", devices=4),
        workload={"topology": "hierarchical", "agents": 9, "workflows": 20, "context_tokens": 8192},
        pools={
            "boss": {"model": "agent", "role": "orchestrator", "nodes": ["gpu-a"]},
            "crew": {"model": "agent", "role": "worker", "nodes": ["gpu-b"], "replicas": 3},
        },
    )


def test_a_plan_carries_its_bill_by_pool() -> None:
    bill = two_pools().cost
    lines = [(line.name, line.gpus, round(line.cost.usd_per_hour, 2)) for line in bill.pools if line.cost]
    assert lines == [("boss", 1, 2.40), ("crew", 3, 6.03)]
    assert bill.idle.cost is not None
    assert (bill.idle.gpus, bill.idle.cost.usd_per_hour) == (1, pytest.approx(2.01))


def test_a_preview_shows_what_each_pool_costs() -> None:
    shown = summarise(two_pools())
    assert {name: pool["cost"] for name, pool in shown["pools"].items()} == {
        "boss": "$2.40 per hour",
        "crew": "$6.03 per hour",
    }
    assert shown["cost"] == "$10.44 per hour"


def test_a_machine_that_carries_nothing_is_billed_all_the_same() -> None:
    made = rented(host("gpu-a", devices=1), host("gpu-b", devices=1), workload=FEW)
    assert made.cost_per_hour == 4.80
    assert (made.cost.idle.gpus, made.cost_per_hour) == (1, 4.80)


def test_a_price_of_the_spec_goes_before_the_catalogs() -> None:
    made = two_pools(price_per_hour=1.5)
    assert made.cost_per_hour == pytest.approx(1.5 + 4 * 2.01)
    assert made.cost.price_origins[0] == "stated in the spec"
    assert made.cost.price_origins[1].endswith("2026-03-24")


def test_the_bill_is_printed_by_hour_day_and_month_with_the_origin_of_each_price(cost: Cost) -> None:
    machines = host("gpu-a", devices=2), host("gpu-b", "A100-80GB-PCIe", price_per_hour=1)
    pools = {"agents": {"model": "agent", "role": "agent", "nodes": ["gpu-b"]}}
    code, out, err = cost(on(*machines, pools=pools))
    assert (code, err) == (0, "")
    printed = [" ".join(line.split()) for line in out.splitlines()]
    assert "agents 1 1.00 24.00 730.00" in printed
    assert "idle 9 11.80 283.20 8,614.00" in printed
    assert "total 10 12.80 307.20 9,344.00" in printed
    assert (
        "1 2 x H100-SXM 4.80 Spheron rate quoted by the sizing article of March 2026, 2026-03-24" in printed
    )
    assert "1 8 x A100-80GB-PCIe 8.00 stated in the spec" in printed


def test_a_plan_prints_its_bill_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "a.fleet.yaml").write_text(json.dumps(on(host("gpu-a"))), encoding="utf-8")
    assert cli.run(["plan", str(tmp_path / "a.fleet.yaml"), "--format", "json"]) == 0
    printed = json.loads(capsys.readouterr().out)["cost"]
    assert printed["pools"] == [{"name": "agents", "gpus": 1, "cost": {"usd_per_hour": 2.4}}]
    assert printed["idle"]["gpus"] == 7


def test_scripts_read_the_bill_and_both_sides(cost: Cost) -> None:
    words = ("--tokens-in", "900", "--tokens-out=50", "--interactions-per-hour", "500", "--api", "0.40")
    code, out, _ = cost(on(host("gpu-a", devices=1)), *words, "--format", "json")
    printed = json.loads(out)
    assert code == 0
    assert printed["total"] == {"usd_per_hour": 2.4, "usd_per_day": 57.6, "usd_per_month": 1752.0}
    assert printed["prices"][0]["source"].endswith("2026-03-24")
    api = printed["managed_api"]
    assert api["api_usd_per_hour"] == pytest.approx(0.19)
    assert api["pools"][0]["break_even_interactions_per_hour"] == pytest.approx(6315.79, abs=0.01)
    assert api["pools"][0]["measured"] is None


def test_nothing_asked_about_an_api_is_the_bill_alone(cost: Cost) -> None:
    code, out, _ = cost(on(host("gpu-a", devices=1)))
    assert code == 0
    assert "managed API" not in out


def test_the_articles_gpu_is_compared_naively_and_as_billed() -> None:
    made = one_gpu()
    asked = Asked(
        **LOOP, api=["article"], interactions_per_hour=["500"], replica_tokens_per_second=H100_TOKENS_PER_S
    )
    compared = compare_plan(made, asked)
    assert compared is not None
    (pool,) = compared.pools
    assert pool.measured is not None
    assert pool.measured.at_load is not None
    at_load = pool.measured.at_load
    assert pool.measured.prorated_wins
    assert at_load.prorated_usd_per_hour == pytest.approx(0.0545, abs=1e-4)
    assert not at_load.own_replicas_win
    assert (at_load.billed_usd_per_hour, at_load.api_usd_per_hour) == (
        pytest.approx(2.40),
        pytest.approx(0.19),
    )
    assert pool.measured.replica.utilization == pytest.approx(0.287, abs=5e-4)


def test_a_load_beyond_the_planned_replicas_adds_some() -> None:
    asked = Asked(
        **LOOP, api=["article"], interactions_per_hour=["44000"], replica_tokens_per_second=H100_TOKENS_PER_S
    )
    compared = compare_plan(one_gpu(), asked)
    assert compared is not None
    assert compared.billed_usd_per_hour == pytest.approx(4.80)


def test_seated_sessions_raise_the_break_even_of_a_pool() -> None:
    compared = compare_plan(two_pools(), Asked(**LOOP, api=["article"]))
    assert compared is not None
    assert [round(pool.work.break_even_interactions_per_hour) for pool in compared.pools] == [
        round(2.40 / 0.00038),
        round(3 * 2.01 / 0.00038),
    ]


def test_the_fleets_load_is_divided_by_sessions_and_each_pool_may_have_its_own_api() -> None:
    asked = Asked(
        tokens_in=["900", "boss=4000"],
        tokens_out=["50"],
        interactions_per_hour=["1000"],
        api=["boss=2.5/10/1.25", "crew=gpt-4o-mini"],
    )
    compared = compare_plan(two_pools(), asked)
    assert compared is not None
    boss, crew = (pool.work for pool in compared.pools)
    assert (boss.interactions_per_hour, crew.interactions_per_hour) == (100, 900)
    assert boss.usd_per_interaction == pytest.approx((4000 * 2.5 + 50 * 10) / 1e6)
    assert (crew.price.name, crew.interaction.input_tokens) == ("gpt-4o-mini", 900)
    assert compared.api_usd_per_hour == pytest.approx(
        100 * boss.usd_per_interaction + 900 * crew.usd_per_interaction
    )
    assert compared.billed_usd_per_hour == pytest.approx(2.40 + 4 * 2.01)


def test_a_load_that_one_pool_lacks_leaves_the_fleets_open() -> None:
    asked = Asked(**LOOP, interactions_per_hour=["boss=100"])
    compared = compare_plan(two_pools(), asked)
    assert compared is not None
    assert compared.api_usd_per_hour is None


def test_a_list_price_with_its_date_is_compared_with_where_none_is_given(cost: Cost) -> None:
    _, out, _ = cost(on(host("gpu-a", devices=1)), "--tokens-in=900", "--tokens-out=50")
    assert "gpt-4o-mini" in out
    assert "2026-06-20" in " ".join(out.split())


def test_lab_nodes_cost_nothing(cost: Cost) -> None:
    words = (
        "--tokens-in=9",
        "--tokens-out=5",
        "--interactions-per-hour=10",
        "--replica-tokens-per-second=100",
    )
    code, out, err = cost(LAB, *words)
    assert (code, err) == (0, "")
    assert "$0.00 per hour" in out
    assert plan(LAB).cost_per_hour == 0


def test_a_replica_that_serves_too_little_never_breaks_even(cost: Cost) -> None:
    words = ("--tokens-in=900", "--tokens-out=50", "--replica-tokens-per-second=100")
    _, out, _ = cost(on(host("gpu-a", devices=1)), *words)
    assert ["break-even", "never"] in [line.split()[:2] for line in out.splitlines()]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"tokens_in": ["9"]}, "--tokens-out: say how many tokens an interaction of boss has"),
        ({"api": ["article"]}, "--tokens-in: say how many tokens an interaction of boss has"),
        ({**LOOP, "tokens_in": ["boss=9"]}, "--tokens-in: say how many tokens an interaction of crew has"),
        ({**LOOP, "tokens_in": ["9.5"]}, "--tokens-in: must be a number of tokens, such as 900, not '9.5'"),
        ({**LOOP, "tokens_in": ["-1"]}, "--tokens-in: must be a number of tokens, such as 900, not '-1'"),
        (
            {**LOOP, "tokens_in": ["0"]},
            "--tokens-in, --tokens-cached and --tokens-out: an interaction has at least one token, not 0 and 0",
        ),
        (
            {**LOOP, "tokens_cached": ["951"]},
            "--tokens-in, --tokens-cached and --tokens-out: cached_input_tokens: 951 of 950 input tokens",
        ),
        ({**LOOP, "tokens_in": ["gang=9"]}, "--tokens-in: 'gang' is no pool of the spec, which has boss, crew"),
        ({**LOOP, "interactions_per_hour": ["0"]}, "--interactions-per-hour: must be a number above 0, not '0'"),
        ({**LOOP, "interactions_per_hour": ["nan"]}, "--interactions-per-hour: must be a number above 0, not 'nan'"),
        (
            {**LOOP, "interactions_per_hour": ["9", "crew=9"]},
            "--interactions-per-hour: give one number for the fleet, or POOL=NUMBER for each pool",
        ),
        (
            {**LOOP, "replica_tokens_per_second": ["fast"]},
            "--replica-tokens-per-second: must be a number above 0, not 'fast'",
        ),
        (
            {**LOOP, "api": ["gpt-9"]},
            "--api: 'gpt-9' is neither one of article, gpt-4o-mini nor IN[/OUT[/CACHED]] in dollars per million tokens",
        ),
        (
            {**LOOP, "api": ["1/0"]},
            "--api: '1/0' is neither one of article, gpt-4o-mini nor IN[/OUT[/CACHED]] in dollars per million tokens",
        ),
    ],
)  # fmt: skip
def test_words_that_are_not_understood_are_refused(asked: dict[str, list[str]], sentence: str) -> None:
    with pytest.raises(SizingError) as refused:
        compare_plan(two_pools(), Asked(**asked))
    assert str(refused.value) == sentence


planned_once = functools.cache(two_pools)

TOKENS = st.lists(
    st.sampled_from(["0", "1", "950", "999999999", "boss=7", "crew=1", "x", "gang=1", "-1"]), max_size=3
)
NUMBERS = st.lists(
    st.sampled_from(["1", "1e12", "1e-6", "boss=3", "crew=1e12", "inf", "", "1e-300"]), max_size=2
)
PRICES = st.lists(
    st.sampled_from(["0.4", "1e-6/1e12", "boss=9/9/9", "gpt-4o-mini", "0", "1/2/3/4", "a"]), max_size=2
)


@given(st.builds(Asked, TOKENS, TOKENS, TOKENS, NUMBERS, NUMBERS, PRICES))
def test_any_words_are_compared_and_printed_or_refused_with_a_sentence(asked: Asked) -> None:
    made = planned_once()
    try:
        compared = compare_plan(made, asked)
    except SizingError:
        return
    Console(file=io.StringIO()).print(cost_tables(made, compared))
    json.dumps(as_json(made, compared), allow_nan=False)


def test_a_fleet_without_a_price_has_a_bill_with_a_gap_and_no_comparison(cost: Cost) -> None:
    spec = on(host("gpu-a", "L40S", devices=4))
    code, out, _ = cost(spec)
    assert code == 0
    assert "unknown" in out
    code, out, err = cost(spec, "--tokens-in=9", "--tokens-out=5")
    assert (code, out) == (2, "")
    assert (
        err
        == "nodes.gpu-a: no price is known, and without one there is nothing to compare: give price_per_hour\n"
    )
