"""3 -> 4 -> 3 replicas: how many sessions answer elsewhere after each change of the gateway's replicas.

Through the gateway, with stand-ins that answer at once; beside it what the ring alone would do.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from bench.gateway.candidates import Candidate, install
from bench.gateway.fleet_gateway import API_KEY, start_fleet_gateway
from bench.gateway.lab import answer_of, background, in_network_of
from infra.affinity import build_ring
from support.lab_stacks import LabStack, swept_lab_stack

PORTS = (18001, 18002, 18003, 18004)
SESSIONS = 400
BAR_POINTS = 0.05
TRACE = {
    "shape": {"turns": 1, "first_words": 20, "question_words": 1, "answer_words": 1, "think_s": 1},
    "sessions": SESSIONS,
    "within_s": 8,
    "seed": "moves",
}
ASKING = {"model": "stand-in", "key": API_KEY, "max_tokens": 1}


@dataclass(frozen=True)
class Move:
    """One change: shares of the sessions that answered elsewhere, and what may move."""

    change: str
    moved: float
    by_the_ring_alone: float
    bar: float
    errors: int


def measure_moves() -> list[Move]:
    """Both changes, one after the other."""
    with swept_lab_stack() as stack:
        node = stack.start("node-1")
        install(node)
        words = in_network_of(
            stack,
            "node-1",
            "bench.gateway.instant_upstream",
            *map(str, PORTS),
            "--chunks",
            "1",
            "--interval-s",
            "0.01",
        )
        places = []
        with background(words):
            for ports in (PORTS[:3], PORTS, PORTS[:3]):
                servers = {f"agents-{n}": f"127.0.0.1:{port}" for n, port in enumerate(ports)}
                places.append(_places(stack, start_fleet_gateway(node, 8080, servers, max_num_seqs=256)))
    return [
        _move("3 -> 4", places[0], places[1], PORTS[:3], PORTS),
        _move("4 -> 3", places[1], places[2], PORTS, PORTS[:3]),
    ]


def _places(stack: LabStack, gateway: Candidate) -> dict[str, str]:
    """Each session's replica, empty for one that got no answer."""
    given = {"router": "gateway", "addresses": [gateway.address], "asking": ASKING, "trace": TRACE}
    answers = answer_of(in_network_of(stack, "node-1", "bench.affinity.replay_once", json.dumps(given)))
    return {answer["session"]: "" if answer["error"] else answer["replica"] for answer in answers}


def _move(
    change: str, before: dict[str, str], after: dict[str, str], old: Sequence[int], new: Sequence[int]
) -> Move:
    rings = [build_ring({f"127.0.0.1:{port}": 1 for port in ports}) for ports in (old, new)]
    return Move(
        change=change,
        moved=sum(before[key] != after[key] for key in before) / len(before),
        by_the_ring_alone=sum(rings[0].server_of(key) != rings[1].server_of(key) for key in before)
        / len(before),
        bar=1 / max(len(old), len(new)) + BAR_POINTS,
        errors=sum(not place for place in (*before.values(), *after.values())),
    )
