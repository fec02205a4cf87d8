"""Runs the skewed load of `skew` on a lab node and makes a row of each router."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from bench.affinity import skew
from bench.affinity.stand_in_fleet import NODE, stand_in_fleet
from bench.affinity.stays import Answers, counted, stayed_share
from bench.gateway.candidates import start_hashing
from bench.gateway.fleet_gateway import start_fleet_gateway
from bench.gateway.lab import answer_of, in_network_of
from bench.tables import quantile
from support.lab_stacks import StartedNode

SEEDS = ("first", "second")
SESSION_IDLE_S = 30
"""The trace thinks about seven times as fast as people and tools do, so silence is forgotten sooner as well."""


@dataclass(frozen=True)
class SkewRow:
    """One router: times of a turn in seconds, p90 over that of the sticky least-loaded router, shares."""

    name: str
    p50_s: float
    p90_s: float
    p99_s: float
    first_token_p90_s: float
    over_sticky: float
    turns: int
    errors: int
    stayed: float
    hit_share: float


def measure_skew() -> list[SkewRow]:
    """All routers under the same traces at the same time."""
    answers: dict[str, Answers] = {name: [] for name in skew.ROUTERS}
    with stand_in_fleet(skew.all_servers(), skew.MODEL) as (stack, node):
        servers = {f"agents-{n}": server for n, server in enumerate(skew.servers_of("agentfleet"))}
        fleet = start_fleet_gateway(
            node, 8080, servers, skew.MODEL.max_num_seqs, session_idle_s=SESSION_IDLE_S
        )
        hashing = start_hashing(node, node.facts.address, 8081, skew.servers_of("pure-hashing"))
        addresses = json.dumps({"agentfleet": fleet.address, "pure-hashing": hashing.address})
        for seed in SEEDS:
            words = in_network_of(stack, NODE, "bench.affinity.skew", addresses, seed)
            for name, of_router in answer_of(words).items():
                answers[name] += of_router
            print(f"skew: {seed} trace is replayed", file=sys.stderr)
        hits = {name: _hit_share(node, name) for name in skew.ROUTERS}
    sticky_p90_s = quantile([answer["total_s"] for answer in answers["sticky-least-loaded"]], 0.9)
    return [_row(name, answers[name], hits[name], sticky_p90_s) for name in skew.ROUTERS]


def _row(name: str, answers: Answers, hit_share: float, sticky_p90_s: float) -> SkewRow:
    totals = [answer["total_s"] for answer in answers]
    return SkewRow(
        name=name,
        p50_s=quantile(totals, 0.5),
        p90_s=quantile(totals, 0.9),
        p99_s=quantile(totals, 0.99),
        first_token_p90_s=quantile([answer["first_token_s"] for answer in answers], 0.9),
        over_sticky=quantile(totals, 0.9) / sticky_p90_s,
        turns=len(answers),
        errors=sum(bool(answer["error"]) for answer in answers),
        stayed=stayed_share(answers),
        hit_share=hit_share,
    )


def _hit_share(node: StartedNode, router: str) -> float:
    pages = [node.sh(f"curl -fsS http://{server}/metrics") for server in skew.servers_of(router)]
    return counted(pages, "vllm:prefix_cache_hits_total") / counted(pages, "vllm:prefix_cache_queries_total")
