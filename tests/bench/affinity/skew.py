"""Skewed load: a few hot sessions, and session ids of which the ring gives one replica most.

Four routers get the same trace at the same time, each with three stand-in replicas of its own, so that whatever else
this computer does hits all alike: the fleet's gateway, pure hashing, a sticky least-loaded router and round robin.
A turn's time is from the request to the last token; what counts is its 90th percentile against the sticky router's.

    python -m bench.affinity.skew SESSIONS      run in the lab node's network by `measure`
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict

from bench.affinity.engine_stand_in import EngineModel
from bench.affinity.replay import Answer, Asking, replay
from bench.affinity.routers import RoundRobin, Router, StickyLeastLoaded, ThroughGateway
from bench.affinity.trace import Session, Shape, make_session, unlucky_keys
from bench.gateway.fleet_gateway import API_KEY
from infra.affinity import build_ring

MODEL = EngineModel(max_num_seqs=8, prefill_tokens_per_s=4000, s_per_token=0.016, kv_tokens=150_000)
SHARES = (0.60, 0.25, 0.15)
SESSIONS, HOT_SESSIONS = 90, 6
NORMAL = Shape(turns=8, first_words=1200, question_words=200, answer_words=40, think_s=4.0)
HOT = Shape(turns=24, first_words=4000, question_words=400, answer_words=40, think_s=0.5)
STARTS_WITHIN_S = 30.0
ANSWER_TOKENS = 40
ROUTERS = ("agentfleet", "pure-hashing", "sticky-least-loaded", "round-robin")


def servers_of(router: str) -> tuple[str, ...]:
    """The three replicas of that router alone."""
    first = 19001 + 10 * ROUTERS.index(router)
    return tuple(f"127.0.0.1:{first + number}" for number in range(3))


def all_servers() -> tuple[str, ...]:
    """The replicas of all routers."""
    return tuple(server for router in ROUTERS for server in servers_of(router))


def skewed_sessions(seed: str) -> list[Session]:
    """Sessions whose ids are unlucky on the rings of both gateways; the hot ones are spread among them as ids fall."""
    counts = [round(SESSIONS * share) for share in SHARES]
    rings = [build_ring(dict.fromkeys(servers_of(router), 1)) for router in ("agentfleet", "pure-hashing")]
    keys = unlucky_keys(rings, counts, seed)
    every = SESSIONS // HOT_SESSIONS
    return [
        make_session(key, STARTS_WITHIN_S * number / SESSIONS, NORMAL if number % every else HOT)
        for number, key in enumerate(keys)
    ]


def routers(gateway_addresses: Mapping[str, str]) -> dict[str, Router]:
    """All four by name."""
    return {
        **{name: ThroughGateway(address) for name, address in gateway_addresses.items()},
        "sticky-least-loaded": StickyLeastLoaded(servers_of("sticky-least-loaded")),
        "round-robin": RoundRobin(servers_of("round-robin")),
    }


async def run(gateway_addresses: Mapping[str, str], seed: str) -> dict[str, list[Answer]]:
    """Everybody's answers."""
    sessions = skewed_sessions(seed)
    asking = Asking("stand-in", API_KEY, ANSWER_TOKENS)
    by_name = routers(gateway_addresses)
    answers = await asyncio.gather(*(replay(sessions, router, asking) for router in by_name.values()))
    return dict(zip(by_name, answers, strict=True))


if __name__ == "__main__":
    answered = asyncio.run(run(json.loads(sys.argv[1]), sys.argv[2]))
    print(json.dumps({name: [asdict(answer) for answer in answers] for name, answers in answered.items()}))
