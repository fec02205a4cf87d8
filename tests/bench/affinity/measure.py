"""Whether sessions stay with their KV cache, what that is worth, and what it costs when the load is skewed.

    make bench-affinity            all parts, about 12 minutes on 2 cores
    …measure.py skew | moves | vllm

skew   hot sessions and an unlucky ring, on stand-ins with vLLM's limits: 90th percentile of turn times beside a sticky
       least-loaded router, pure hashing and round robin, all at the same time
moves  3 -> 4 -> 3 replicas: share of sessions that answer elsewhere
vllm   200 sessions x 8 turns on three real replicas: who stayed, the hit rate by vLLM's own counters, first tokens

Ends with 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from bench.affinity.measure_skew import SkewRow, measure_skew
from bench.affinity.measure_vllm import VllmRow, measure_vllm
from bench.affinity.moves import measure_moves
from bench.tables import judge, print_table

SKEW_BAR = 1.10
"""90th percentile of turn times over that of a sticky least-loaded router."""

STAY_BAR = 0.995
HIT_POINTS_BAR = 0.01
BEST_SHARE_BAR = 0.95


def skew() -> Iterator[str]:
    rows = measure_skew()
    print_table(
        "skewed load on stand-ins: turn times, from request to last token",
        (
            "router",
            "p50",
            "p90",
            "p99",
            "first token p90",
            "p90 over sticky",
            "turns",
            "failed",
            "stayed",
            "hit rate",
        ),
        (
            (
                *(row.name, f"{row.p50_s:.2f} s", f"{row.p90_s:.2f} s", f"{row.p99_s:.2f} s"),
                *(
                    f"{row.first_token_p90_s:.2f} s",
                    f"{row.over_sticky:.2f}",
                    str(row.turns),
                    str(row.errors),
                ),
                *(f"{row.stayed:.2%}", f"{row.hit_share:.2%}"),
            )
            for row in rows
        ),
    )
    ours = _ours(rows)
    if ours.over_sticky > SKEW_BAR:
        yield f"skew: p90 of turn times is {ours.over_sticky:.2f} of the sticky router's, above {SKEW_BAR}"
    if ours.errors:
        yield f"skew: {ours.errors} turns failed"


def moves() -> Iterator[str]:
    rows = measure_moves()
    print_table(
        "replicas change under remembered sessions",
        ("change", "moved", "by the ring alone", "may move", "failed"),
        (
            (
                row.change,
                f"{row.moved:.1%}",
                f"{row.by_the_ring_alone:.1%}",
                f"{row.bar:.0%}",
                str(row.errors),
            )
            for row in rows
        ),
    )
    for row in rows:
        if row.moved > row.bar or row.errors:
            yield f"moves: {row.change}: {row.moved:.1%} of the sessions moved (bar {row.bar:.0%}), {row.errors} failed"


def vllm() -> Iterator[str]:
    rows = measure_vllm()
    print_table(
        "200 sessions x 8 turns on three replicas of vLLM",
        (
            "router",
            "stayed",
            "hit rate",
            "of the best",
            "first token p50",
            "p90",
            "p50 over round robin",
            "turns",
            "failed",
        ),
        (
            (
                *(row.name, f"{row.stayed:.2%}", f"{row.hit_share:.2%}", f"{row.of_best:.1%}"),
                *(f"{row.first_token_p50_s:.3f} s", f"{row.first_token_p90_s:.3f} s"),
                *(f"{row.over_round_robin:.2f}", str(row.turns), str(row.errors)),
            )
            for row in rows
        ),
    )
    ours = _ours(rows)
    hashing = next(row for row in rows if row.name == "pure-hashing")
    if ours.stayed < STAY_BAR:
        yield f"vllm: {ours.stayed:.2%} of the follow-up turns stayed, below {STAY_BAR:.1%}"
    if ours.hit_share < hashing.hit_share - HIT_POINTS_BAR:
        yield f"vllm: hit rate {ours.hit_share:.2%} is more than a point below pure hashing's {hashing.hit_share:.2%}"
    if ours.of_best < BEST_SHARE_BAR:
        yield f"vllm: hit rate is {ours.of_best:.1%} of the best possible, below {BEST_SHARE_BAR:.0%}"
    if ours.errors:
        yield f"vllm: {ours.errors} turns failed"


Row = TypeVar("Row", SkewRow, VllmRow)


def _ours(rows: Sequence[Row]) -> Row:
    return next(row for row in rows if row.name == "agentfleet")


PARTS: dict[str, Callable[[], Iterator[str]]] = {"skew": skew, "moves": moves, "vllm": vllm}


def main() -> None:
    """The parts that are named, else all; every table is printed before the bars are judged."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="|".join(PARTS), default=list(PARTS))
    parts = parser.parse_args().parts
    if unknown := set(parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    judge([bar for part in parts for bar in PARTS[part]()])


if __name__ == "__main__":
    main()
