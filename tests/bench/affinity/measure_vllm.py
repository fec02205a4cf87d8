"""Replays 200 sessions x 8 turns against real vLLM, router after router, and makes a row of each.

Every router gets the same trace, but for a word at its beginning: so none finds what another left in the caches, and
what is left goes first, since it is the oldest. A replica's cache holds the sessions of its own, with the load factor's
margin, and not those of all.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass

from bench.affinity.replay_once import sessions_of
from bench.affinity.stays import Answers, stayed_share
from bench.affinity.trace import Session, best_hit_share
from bench.affinity.vllm_fleet import VllmFleet, vllm_fleet
from bench.gateway.candidates import Candidate, start_hashing, start_round_robin
from bench.gateway.fleet_gateway import API_KEY
from bench.gateway.lab import answer_of, in_network_of
from bench.tables import quantile

BLOCK_TOKENS = 128
"""vLLM's on a CPU."""

CONTEXT_TOKENS = 2048
KV_CACHE_MEMORY = "144MiB"
"""1,152 blocks; a whole session is 12, so a replica holds 96 sessions of 200."""

TRACE = {
    "shape": {"turns": 8, "first_words": 400, "question_words": 60, "answer_words": 30, "think_s": 6},
    "sessions": 200,
    "within_s": 40,
    "seed": "session",
}
ANSWER_TOKENS = 4


@dataclass(frozen=True)
class VllmRow:
    """One router: shares, the hit rate over the best possible, times to the first token."""

    name: str
    stayed: float
    hit_share: float
    of_best: float
    first_token_p50_s: float
    first_token_p90_s: float
    over_round_robin: float
    turns: int
    errors: int


@dataclass(frozen=True)
class Replayed:
    """What one router's replay brought."""

    name: str
    answers: Answers
    hit_share: float


def measure_vllm() -> list[VllmRow]:
    """The fleet's gateway, pure hashing and round robin before the same replicas."""
    with vllm_fleet(KV_CACHE_MEMORY, CONTEXT_TOKENS) as fleet:
        print("vllm: three replicas serve", file=sys.stderr)
        node, addresses = fleet.gateway_node, tuple(fleet.servers.values())
        here = node.facts.address
        candidates = (
            fleet.gateway,
            start_hashing(node, here, 8081, addresses),
            start_round_robin(node, here, 8082, addresses),
        )
        replayed = [_replay(fleet, candidate) for candidate in candidates]
    round_robin_s = quantile(_first_tokens(replayed[-1].answers), 0.5)
    return [_row(one, round_robin_s) for one in replayed]


def _replay(fleet: VllmFleet, candidate: Candidate) -> Replayed:
    before = fleet.counters()
    asking = {"model": fleet.model, "key": API_KEY, "max_tokens": ANSWER_TOKENS, "salt": f"{candidate.name} "}
    given = {"router": "gateway", "addresses": [candidate.address], "asking": asking, "trace": TRACE}
    words = in_network_of(
        fleet.stack, fleet.gateway_node.state.name, "bench.affinity.replay_once", json.dumps(given)
    )
    answers = answer_of(words)
    after = fleet.counters()
    print(f"vllm: {candidate.name} is replayed", file=sys.stderr)
    return Replayed(candidate.name, answers, (after.hit - before.hit) / (after.queried - before.queried))


def _row(replayed: Replayed, round_robin_s: float) -> VllmRow:
    answers = replayed.answers
    first_tokens_s = _first_tokens(answers)
    tokens = {(answer["session"], answer["turn"]): answer["prompt_tokens"] for answer in answers}

    def tokens_of(session: Session, turn: int) -> int:
        return int(tokens[session.key, turn])

    best = best_hit_share(sessions_of(TRACE), tokens_of, BLOCK_TOKENS)
    return VllmRow(
        name=replayed.name,
        stayed=stayed_share(answers),
        hit_share=replayed.hit_share,
        of_best=replayed.hit_share / best,
        first_token_p50_s=quantile(first_tokens_s, 0.5),
        first_token_p90_s=quantile(first_tokens_s, 0.9),
        over_round_robin=quantile(first_tokens_s, 0.5) / round_robin_s,
        turns=len(answers),
        errors=sum(bool(answer["error"]) for answer in answers),
    )


def _first_tokens(answers: Answers) -> list[float]:
    return [answer["first_token_s"] for answer in answers if not answer["error"]]
