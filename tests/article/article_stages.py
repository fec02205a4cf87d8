"""Scaling from one agent to 1,000 sessions, and where to start."""

from __future__ import annotations

import math

from article_claims import (
    EXACT,
    MODEL,
    Ours,
    Section,
    Stated,
    about,
    at_least,
    at_most,
    between,
    corrects,
    exactly,
    rejects,
    reproduces,
    undecided,
)
from article_sizes import SMALL, K, replicas_for, seats, usd_per_hour

from infra.affinity import build_ring
from infra.cost import Interaction, ReplicaRate, compare, mixed_price
from infra.plan.demand import stage_of
from infra.plan.sizing import headroom

ARTICLE_UPSTREAM = {"10.0.0.1:8000": 1, "10.0.0.2:8000": 1, "10.0.0.3:8000": 1}

MIXED = mixed_price(0.40)
ONE_TOKEN = Interaction(1, 0)
"""Loads of this part are stated in tokens."""

H100 = ReplicaRate(usd_per_hour=2.40, tokens_per_hour=22_000 * 950)
"""The article's H100 SXM: 22,000 interactions of 950 tokens an hour, 20.9 million tokens."""


def _seats_at_4k() -> int:
    return seats(SMALL, "H100-SXM", 4 * K, sessions=250)


def _gpus_for_1000_sessions() -> int:
    return math.ceil(1000 / _seats_at_4k())


def _tokens_per_hour(sessions: int, tokens_per_minute: int) -> float:
    return sessions * tokens_per_minute * 60


STAGES = Section(
    "From one agent to 1,000 sessions",
    (
        reproduces(
            "Stage 1 reaches to 50 sessions",
            exactly("1-50", 50),
            Ours(lambda: max(n for n in range(1, 2000) if stage_of(n) == 1), 50, "{:.0f} sessions"),
            "the plan names the stage by the sessions of all pools",
        ),
        reproduces(
            "Stage 2 reaches to 250 sessions",
            exactly("50-250", 250),
            Ours(lambda: max(n for n in range(1, 2000) if stage_of(n) == 2), 250, "{:.0f} sessions"),
            "above it stage 3",
        ),
        reproduces(
            "Stage 3 reaches from there to 1,000 sessions",
            exactly("250-1,000", 251),
            Ours(lambda: min(n for n in range(1, 2000) if stage_of(n) == 3), 251, "from {:.0f} sessions"),
            "nothing ends at 1,000: the plan grows on",
        ),
        reproduces(
            "An H100 PCIe carries stage 1",
            at_least("50 sessions", 50),
            Ours(lambda: seats(SMALL, "H100-PCIe", 8 * K, sessions=50), 122, "{:.0f} seats of 8K", MODEL),
            "the command line's 8B in FP8",
        ),
        corrects(
            "An RTX 5090 carries stage 1",
            at_least("50 sessions", 50),
            Ours(lambda: seats(SMALL, "RTX-5090", 8 * K, sessions=50), 37, "{:.0f} seats of 8K", MODEL),
            "31.4 GiB hold 37 of them; 50 fit at contexts of 6K",
        ),
        reproduces(
            "--max-num-seqs is 1.5 to 2 times the peak: 100 for 50 sessions",
            between("1.5-2x", 1.5, 2),
            Ours(lambda: headroom(50) / 50, 1.5, "{:.1f}x"),
            "the plan takes the lower end, since sequences beyond the seats fit only while sessions are short",
        ),
        reproduces(
            "Stage 2 takes two to four engines",
            between("2-4", 2, 4),
            Ours(
                lambda: replicas_for(250, seats(SMALL, "H100-PCIe", 8 * K, sessions=125)),
                3,
                "{:.0f} H100 PCIe",
            ),
            "250 sessions of 8K, the hash's imbalance included",
        ),
        corrects(
            "Three servers behind a consistent hash carry a third of the sessions each, by implication",
            about("1/3 each", 1.0, 0.02),
            Ours(
                lambda: 3 * max(build_ring(ARTICLE_UPSTREAM).shares()),
                1.1229380015283823,
                "{:.2f}x on the busiest",
            ),
            "nginx's ring of just these names, for any number of sessions; with 100 of them chance makes it 1.38x",
        ),
        undecided(
            "A request on the wrong replica adds to the time to the first token",
            "50-200 ms",
            "prefill time depends on GPU and context; what is lost is computing up to the whole context again",
        ),
        rejects(
            "For multi-turn agents losing affinity is a matter of correctness",
            Stated("correctness"),
            None,
            "every turn carries its whole prompt, so any replica gives the same answer; it costs computing alone",
        ),
        undecided(
            "Above so many sessions a single GPU's P99 time to first token suffers",
            "~60 sessions",
            "queueing depends on the rate of requests, not on sessions; by memory an H100 seats 122 of 8K",
        ),
        corrects(
            "Stage 2 takes two GPUs where stage 1 takes one, from about 60 sessions",
            at_least("2", 2),
            Ours(
                lambda: replicas_for(60, seats(SMALL, "H100-PCIe", 8 * K, sessions=60)), 1, "{:.0f} H100 PCIe"
            ),
            "by memory the second is needed above 122 sessions of 8K; before that it buys shorter queues and a spare",
        ),
        undecided(
            "In stage 3 a small, fast model is enough to orchestrate",
            "7B-8B class",
            "whether it routes well is a matter of quality; by memory it costs an eighth of a 70B",
        ),
        undecided(
            "A queue that grows by 10 requests a minute overwhelms the system",
            "20 minutes",
            "200 waiting requests are what the arithmetic gives; whether that is too many depends on how long they "
            "may wait",
        ),
    ),
)

THOUSAND = Section(
    "Rough cost of 1,000 sessions",
    (
        corrects(
            "An H100 SXM seats 250 sessions of 4K (8B FP8)",
            at_least("250", 250),
            Ours(_seats_at_4k, 243, "{:.0f} seats", MODEL),
            "at the article's own utilization of 0.90; 250 take 0.92 or more",
        ),
        corrects(
            "1,000 sessions fit on about 4 H100",
            at_most("~4", 4),
            Ours(_gpus_for_1000_sessions, 5, "{:.0f} H100"),
            "four miss about 30 sessions; behind a plain consistent hash the busiest of five has up to 246, so it "
            "takes six; with the load bounded at 1.1 times the mean, five",
        ),
        corrects(
            "That fleet costs",
            about("$9.60/h", 9.60, 1e-6),
            Ours(lambda: _gpus_for_1000_sessions() * usd_per_hour("H100-SXM"), 12.00, "${:.2f}/h"),
            "five GPUs; 4 x $2.40 is computed rightly",
        ),
        reproduces(
            "$0.0000004 a token",
            exactly("$0.40/M", 0.40),
            Ours(lambda: 0.0000004 * 1e6, 0.40, "${:.2f} per million"),
            "a mix of input and output; the list price of a small managed model is $0.15 and $0.60",
        ),
        reproduces(
            "1,000 sessions of 200 tokens a minute",
            exactly("12,000,000 tokens/h", 12e6),
            Ours(lambda: _tokens_per_hour(1000, 200), 12e6, "{:,.0f} tokens/h"),
            "x 60",
        ),
        reproduces(
            "on the managed API",
            exactly("$4.80/h", 4.80),
            Ours(
                lambda: compare(_tokens_per_hour(1000, 200), ONE_TOKEN, H100, MIXED).api_usd_per_hour,
                4.80,
                "${:.2f}/h",
            ),
            "12 million tokens",
        ),
        reproduces(
            "where the API is cheaper than the GPUs",
            at_most("API wins", 1),
            Ours(lambda: 4.80 / (_gpus_for_1000_sessions() * usd_per_hour("H100-SXM")), 0.4, "{:.2f}x"),
            "$4.80 against $12.00: the seats stand idle most of the time",
        ),
        reproduces(
            "At 5,000 tokens a minute the managed API costs",
            exactly("$120/h", 120),
            Ours(
                lambda: compare(_tokens_per_hour(1000, 5000), ONE_TOKEN, H100, MIXED).api_usd_per_hour,
                120,
                "${:.2f}/h",
            ),
            "300 million tokens",
        ),
        corrects(
            "and bare metal wins by",
            about("12x", 12, 0.1),
            Ours(
                lambda: (
                    120 / compare(_tokens_per_hour(1000, 5000), ONE_TOKEN, H100, MIXED, 5).billed_usd_per_hour
                ),
                120 / 36,
                "{:.1f}x",
            ),
            "300 million tokens an hour are more than four GPUs serve: at the article's own 20.9 million each it takes "
            "15, $36/h",
        ),
    ),
)

START = Section(
    "Where to start",
    (
        reproduces(
            "1-50 sessions: a single H100 PCIe, comfortably",
            at_least("50 sessions", 50),
            Ours(lambda: seats(SMALL, "H100-PCIe", 8 * K, sessions=50), 122, "{:.0f} seats of 8K", MODEL),
            "8B in FP8",
        ),
        reproduces(
            "RTX 5090: deployments under 40 sessions",
            about("< 40", 40, 0.1),
            Ours(lambda: seats(SMALL, "RTX-5090", 8 * K, sessions=40), 37, "{:.0f} seats of 8K", MODEL),
            "8B in FP8; it contradicts the 50 sessions of stage 1",
        ),
        reproduces(
            "50-250 sessions: two to three H100",
            between("2-3", 2, 3),
            Ours(
                lambda: replicas_for(250, seats(SMALL, "H100-PCIe", 8 * K, sessions=125)),
                3,
                "{:.0f} H100 PCIe",
                EXACT,
            ),
            "three for 250 sessions of 8K behind a consistent hash",
        ),
    ),
)
