"""docs/article.md, written from the claims: what the article says, what is computed here, and the verdict."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator, Sequence

from article_claims import Claim, Section, Verdict
from article_cost import COST, H100, LOOP, MIXED
from article_fleets import FLEETS, fleet_rows
from article_gpus import GPUS
from article_kv_cache import KV_CACHE, STRATEGIES
from article_memory import MEMORY
from article_stages import STAGES, START, THOUSAND
from article_topologies import DIFFERENCES, TOPOLOGIES

from infra.affinity import build_ring, displaced_share, usual_imbalance
from infra.cost import sensitivity
from infra.memory import LATEST_VLLM

SECTIONS: tuple[Section, ...] = (
    DIFFERENCES,
    TOPOLOGIES,
    KV_CACHE,
    STRATEGIES,
    MEMORY,
    GPUS,
    STAGES,
    THOUSAND,
    COST,
    START,
    FLEETS,
)

COMMAND = "pytest tests/article --update-golden"

_MEANINGS = {
    Verdict.REPRODUCES: "the same figure comes out here, under the assumptions that the last column names",
    Verdict.CORRECTS: "the right question with another answer",
    Verdict.REJECTS: "the statement does not hold, or its figure answers another question",
    Verdict.UNDECIDED: "a measurement or a property of the workload; no formula here can decide it",
}


@functools.cache
def page() -> str:
    """The whole page."""
    return "\n".join([*_preface(), *(line for section in SECTIONS for line in _section(section)), *_tables()])


def all_claims() -> Iterator[Claim]:
    """Every claim, in the article's order."""
    for section in SECTIONS:
        yield from section.claims


def fleets_table() -> str:
    """The table of docs/sizing.md: the article's stages beside their plans."""
    return "\n".join(_table(("fleet", "the article says", "`fleet plan` says", "why"), list(fleet_rows())))


def _preface() -> Iterator[str]:
    counts = Counter(claim.verdict for claim in all_claims())
    yield "# The sizing article of March 2026, figure by figure"
    yield ""
    yield f"<!-- Written by `{COMMAND}` from tests/article; edit the claims there. -->"
    yield ""
    yield (
        "The sizing article of March 2026 gives rules, tables and worked examples for the GPU infrastructure of"
        " multi-agent systems. Every figure of it is a test in [tests/article](../tests/article): the functions that"
        " plan a fleet compute it again, and the test fails when the answer, or what becomes of the claim, changes."
    )
    yield ""
    yield from _table(
        ("Verdict", "Claims", "Meaning"),
        [(verdict, counts[verdict], meaning) for verdict, meaning in _MEANINGS.items()],
    )
    yield ""
    yield (
        f"Unless a line says otherwise: Llama 3.1 8B and 70B with weights and KV cache in FP8, vLLM {LATEST_VLLM},"
        " `--gpu-memory-utilization 0.90` as in the article's command line, GPU memory as the driver reports it,"
        " seats of full context. The article writes GB where it counts 2^30 bytes, so its figures are compared as"
        " GiB. Seats follow the memory model, which is off by a few percent at most"
        " ([sizing](sizing.md))."
    )


def _section(section: Section) -> Iterator[str]:
    yield ""
    yield f"## {section.title}"
    yield ""
    yield from _table(
        ("The article says", "its figure", "computed here", "verdict", "why"),
        [
            (claim.says, claim.stated.text, claim.ours or "", claim.verdict, claim.why)
            for claim in section.claims
        ],
    )


def _tables() -> Iterator[str]:
    yield ""
    yield "## Two tables behind the verdicts"
    yield ""
    yield (
        "Break-even of one H100 at $2.40 an hour that serves 20.9 million tokens an hour, against a managed API. The"
        " length of an interaction moves the load, never the utilization; half the API's price does the same as twice"
        " the GPU's."
    )
    yield ""
    yield from _table(
        (
            "API, $ per million tokens",
            "tokens per interaction",
            "interactions/h at break-even",
            "utilization",
        ),
        [
            (
                f"{0.40 * row.price_factor:.2f}",
                f"{row.tokens_per_interaction:,}",
                f"{row.break_even.interactions_per_hour:,.0f}",
                f"{100 * row.break_even.utilization:.1f} %",
            )
            for row in sensitivity(LOOP, H100, MIXED)
        ],
    )
    yield ""
    yield (
        "What the busiest replica behind nginx's consistent hash must seat, as a multiple of the mean (95th percentile"
        " over addresses and session keys); in brackets the sessions away from their own replica if the load is"
        " bounded at 1.1 times the mean instead (for 10.0.0.1:8000 and the addresses after it)."
    )
    yield ""
    sessions = (50, 100, 250, 1000)
    yield from _table(
        ("replicas", *(f"{count:,} sessions" for count in sessions)),
        [(replicas, *(_imbalance(replicas, count) for count in sessions)) for replicas in (2, 3, 4, 8)],
    )
    yield ""


def _imbalance(replicas: int, sessions: int) -> str:
    ring = build_ring({f"10.0.0.{number}:8000": 1 for number in range(1, replicas + 1)})
    factor = usual_imbalance(replicas, sessions).factor
    return f"{factor:.2f}x ({100 * displaced_share(ring, sessions, 1.1):.1f} %)"


def _table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield f"| {' | '.join(map(str, head))} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(str(cell).replace('|', '/') for cell in row)} |"
