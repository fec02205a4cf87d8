"""The article's three stages and its 1,000 sessions as fleets: `fleet plan` of the specs in docs/specs."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

from article_claims import (
    Ours,
    Section,
    about,
    at_most,
    between,
    corrects,
    exactly,
    reproduces,
)

from infra.cost.against_api import FleetComparison
from infra.cost.command import Asked, compare_plan
from infra.plan import FleetPlan, make_plan
from infra.plan.fleet_plan import PoolPlan
from infra.plan.read_models import read_models
from infra.spec import load

SPECS = Path(__file__).parents[2] / "docs" / "specs"
H100_TOKENS_PER_S = 22_000 * 950 / 3600
"""The article's H100 SXM: 22,000 interactions of 950 tokens an hour."""


@functools.cache
def fleet(name: str) -> FleetPlan:
    """The plan of one of the specs."""
    path = SPECS / f"{name}.fleet.yaml"
    spec = load(path)
    return make_plan(spec, read_models(spec, path.parent))


def pool(name: str, role: str) -> PoolPlan:
    """Its pool of this role."""
    return next(item for item in fleet(name).pools if item.role == role)


def gpus(name: str) -> int:
    """GPUs that are paid for."""
    return sum(line.gpus for line in (*fleet(name).cost.pools, fleet(name).cost.idle))


def dollars(name: str) -> float:
    """The bill of an hour."""
    total = fleet(name).cost_per_hour
    assert total is not None
    return total


def against_api(tokens_per_minute: int) -> FleetComparison:
    """The 1,000 sessions, each with so many tokens a minute, against $0.40 per million tokens."""
    asked = Asked(
        tokens_in=["1"],
        tokens_out=["0"],
        interactions_per_hour=[str(1000 * tokens_per_minute * 60)],
        replica_tokens_per_second=[str(H100_TOKENS_PER_S)],
        api=["article"],
    )
    compared = compare_plan(fleet("thousand-sessions"), asked)
    assert compared is not None
    return compared


def api_over_fleet(tokens_per_minute: int) -> float:
    """How many times the fleet's bill the API charges."""
    compared = against_api(tokens_per_minute)
    assert compared.api_usd_per_hour is not None
    return compared.api_usd_per_hour / compared.billed_usd_per_hour


REASONS = {
    "stage-1": (
        "1-50 sessions: one GPU, an H100 PCIe or RTX 5090; --max-num-seqs 100",
        "as the article has it; an RTX 5090 seats 37 sessions of 8K and has no dated price",
    ),
    "stage-2": (
        "50-250 sessions: two to four servers behind nginx, Redis beside them; two GPUs where stage 1 takes one",
        "two GPUs end at about 220 sessions of 8K, the hash's uneven hand included",
    ),
    "stage-3": (
        "250-1,000 sessions: an orchestrator of the 8B class on a GPU of its own, a pool of workers; no price",
        "900 workers of 8K take nine; the orchestrator's 100 sessions leave its GPU room for 22 more",
    ),
    "thousand-sessions": (
        "about 4 H100 SXM at 250 sessions of 4K each: $9.60/h",
        "243 sessions fit a GPU at 0.90 of its memory, and the busiest of five may get 220",
    ),
}
"""What the article says of each fleet, and why the plan agrees or not."""


def fleet_rows() -> Iterator[tuple[str, str, str, str]]:
    """The fleets for docs/sizing.md: its name, the article's words, the plan's numbers and why."""
    for name, (says, why) in REASONS.items():
        made = fleet(name)
        sessions, seats = sum(item.sessions for item in made.pools), sum(item.slots for item in made.pools)
        machines = f"{gpus(name)} x {made.pools[0].device}, ${dollars(name):.2f}/h"
        ours = f"{machines}, {seats:,} seats for {sessions:,} sessions"
        yield f"[{name}](specs/{name}.fleet.yaml)", says, ours, why


FLEETS = Section(
    "The stages as fleets",
    (
        reproduces(
            "Stage 1, 50 sessions: one server, one GPU (H100 PCIe)",
            exactly("1 GPU", 1),
            Ours(lambda: gpus("stage-1"), 1, "{:.0f} H100 PCIe"),
            "122 sessions of 8K fit; [stage-1.fleet.yaml](specs/stage-1.fleet.yaml)",
        ),
        corrects(
            "Stage 1: --max-num-seqs 100 for 50 sessions",
            exactly("100", 100),
            Ours(lambda: pool("stage-1", "agent").max_num_seqs, 75, "{:.0f}"),
            "1.5 times the peak is enough of the article's 1.5 to 2; max_num_seqs in the spec takes the other end",
        ),
        reproduces(
            "Stage 1 costs an H100 PCIe",
            exactly("$2.01/h", 2.01),
            Ours(lambda: dollars("stage-1"), 2.01, "${:.2f}/h"),
            "$1,467 a month, used or not",
        ),
        reproduces(
            "Stage 2, 250 sessions: two to four engines behind nginx",
            between("2-4", 2, 4),
            Ours(lambda: pool("stage-2", "agent").replicas, 3, "{:.0f} H100 PCIe"),
            "two seat 244 sessions of 8K; [stage-2.fleet.yaml](specs/stage-2.fleet.yaml)",
        ),
        corrects(
            "Stage 2 costs two GPUs where stage 1 costs one",
            about("2x", 2, 1e-6),
            Ours(lambda: dollars("stage-2") / dollars("stage-1"), 3, "{:.0f}x"),
            "for the 250 sessions to which the stage reaches; two GPUs are enough up to about 220 (bounded at 1.1)",
        ),
        reproduces(
            "Stage 3, (1 + 9) x 100 sessions: an orchestrator on its own GPU",
            exactly("1 GPU", 1),
            Ours(lambda: pool("stage-3", "orchestrator").replicas, 1, "{:.0f} H100 PCIe"),
            "8B class, 100 sessions of 8K; [stage-3.fleet.yaml](specs/stage-3.fleet.yaml)",
        ),
        reproduces(
            "Stage 3: 900 workers, by the 80 to 150 sessions of an H100 PCIe in the table of GPUs",
            between("6-12", 6, 12),
            Ours(lambda: pool("stage-3", "worker").replicas, 9, "{:.0f} H100 PCIe"),
            "900 sessions at 122 seats of 8K, and room for what the hash deals unevenly",
        ),
        corrects(
            "1,000 sessions of 4K: four H100 SXM",
            at_most("4 x H100 SXM", 4),
            Ours(lambda: gpus("thousand-sessions"), 5, "{:.0f} H100 SXM"),
            "four seat about 970; [thousand-sessions.fleet.yaml](specs/thousand-sessions.fleet.yaml)",
        ),
        corrects(
            "1,000 sessions of 4K cost",
            exactly("$9.60/h", 9.60),
            Ours(lambda: dollars("thousand-sessions"), 12.00, "${:.2f}/h"),
            "five GPUs, $8,760 a month",
        ),
        reproduces(
            "1,000 sessions at 200 tokens a minute: the managed API wins",
            at_most("API wins", 1),
            Ours(lambda: api_over_fleet(200), 0.4, "{:.1f}x the fleet's bill"),
            "`fleet cost`: 11.5 % of the fleet is in use",
        ),
        corrects(
            "1,000 sessions at 5,000 tokens a minute: bare metal wins by 12x",
            about("12x", 12, 0.1),
            Ours(lambda: api_over_fleet(5000), 120 / 36, "{:.1f}x the fleet's bill"),
            "`fleet cost`: that load takes ten replicas more than the sessions do",
        ),
    ),
)
