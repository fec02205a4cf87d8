"""Cost modelling: own GPUs against a managed API."""

from __future__ import annotations

from article_claims import Ours, Section, about, at_least, corrects, exactly, rejects, reproduces, undecided

from infra.cost import (
    Comparison,
    Interaction,
    ReplicaRate,
    RunningCost,
    break_even,
    compare,
    mixed_price,
    prorated_replicas_win,
    usd_per_interaction,
)

LOOP = Interaction(950, 0)
"""950 tokens of input and output, at one price."""

MIXED = mixed_price(0.40)
H100 = ReplicaRate(usd_per_hour=2.40, tokens_per_hour=22_000 * 950)


def _at(interactions_per_hour: float) -> Comparison:
    return compare(interactions_per_hour, LOOP, H100, MIXED)


def _loads_without_the_formulas_winner() -> float:
    """Of 1 to 22,000 interactions an hour, those at which the GPU as billed loses although the formula says it wins."""
    assert prorated_replicas_win(LOOP, H100, MIXED)
    return sum(not _at(load).own_replicas_win for load in range(1, 22_001))


COST = Section(
    "Own GPUs against a managed API",
    (
        rejects(
            "The crossover: P_api x T x R / 1,000,000 > P_gpu x R / I_gpu",
            exactly("GPU wins when", 0),
            Ours(_loads_without_the_formulas_winner, 6315, "wrong at {:,.0f} of 22,000 loads"),
            "R stands on both sides and cancels out, so one side wins at any load; a GPU is billed whole, and the "
            "load decides",
        ),
        reproduces(
            "500 interactions an hour of 950 tokens on the managed API",
            exactly("$0.19/h", 0.19),
            Ours(lambda: _at(500).api_usd_per_hour, 0.19, "${:.2f}/h"),
            "475,000 tokens at $0.40 per million",
        ),
        undecided(
            "An H100 SXM serves this at sustained load",
            "22,000+ interactions/h",
            "a measurement: 5,800 tokens a second, input included; it is an input here, and all below depends on it",
        ),
        reproduces(
            "500 interactions on the H100 by the formula",
            about("$0.055/h", 0.055, 0.02),
            Ours(lambda: _at(500).prorated_usd_per_hour, 0.0545, "${:.3f}/h", 1e-2),
            "a pro rata share of the hour",
        ),
        corrects(
            "and that is what they cost",
            about("$0.055/h", 0.055, 0.02),
            Ours(lambda: _at(500).billed_usd_per_hour, 2.40, "${:.2f}/h"),
            "the hour is billed whole",
        ),
        rejects(
            "so the H100 is cheaper, even though mostly idle, by",
            at_least("~4x", 3.5),
            Ours(lambda: _at(500).api_usd_per_hour / _at(500).billed_usd_per_hour, 0.0792, "{:.2f}x", 1e-3),
            "$0.19 against $2.40: it is 12.6 times dearer (pro rata it would be 3.5 times cheaper)",
        ),
        reproduces(
            "100 interactions an hour on the managed API",
            exactly("$0.038/h", 0.038),
            Ours(lambda: _at(100).api_usd_per_hour, 0.038, "${:.3f}/h"),
            "95,000 tokens",
        ),
        reproduces(
            "100 interactions on the H100, pro rata",
            about("$0.011/h", 0.011, 0.02),
            Ours(lambda: _at(100).prorated_usd_per_hour, 0.0109, "${:.3f}/h", 1e-2),
            "as the article words it; nobody sells 1/220 of an hour",
        ),
        rejects(
            "H100 still wins",
            at_least("GPU wins", 1),
            Ours(lambda: _at(100).api_usd_per_hour / _at(100).billed_usd_per_hour, 0.0158, "{:.3f}x", 1e-2),
            "$0.038 against $2.40 for the hour",
        ),
        reproduces(
            "A GPU that runs all day costs",
            exactly("$57.60/day", 57.60),
            Ours(lambda: RunningCost(2.40).usd_per_day, 57.60, "${:.2f}/day"),
            "24 hours; $1,752 a month of 730",
        ),
        reproduces(
            "Two hours of 100 interactions on the managed API",
            exactly("$0.076/day", 0.076),
            Ours(lambda: 2 * _at(100).api_usd_per_hour, 0.076, "${:.3f}/day"),
            "200 interactions",
        ),
        reproduces(
            "Own GPUs win above this share of a month's hours",
            about("~30 %", 0.30, 0.05),
            Ours(lambda: break_even(LOOP, H100, MIXED).utilization, 0.28708, "{:.1%}", 1e-4),
            "if each of those hours is at full load: 6,316 interactions an hour on average; it follows from these "
            "prices and this throughput and is no constant (57 % at half the API's price)",
        ),
        reproduces(
            "1,000 interactions on an H100 SXM",
            about("$0.11", 0.11, 0.02),
            Ours(lambda: 1000 * 2.40 / 22_000, 0.10909, "${:.3f}", 1e-4),
            "at full load around the clock; at the break-even it is $0.38",
        ),
        reproduces(
            "1,000 interactions at the managed API's price",
            exactly("$0.38", 0.38),
            Ours(lambda: 1000 * usd_per_interaction(MIXED, LOOP), 0.38, "${:.2f}"),
            "950,000 tokens at $0.40 per million",
        ),
    ),
)
