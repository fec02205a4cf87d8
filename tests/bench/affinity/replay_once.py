"""One replay in a lab node's network, with the answers as JSON on its standard output.

python -m bench.affinity.replay_once '{"router": "gateway", "addresses": […], "asking": {…}, "trace": {…}}'
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Any

from bench.affinity.replay import Asking, replay
from bench.affinity.routers import RoundRobin, Router, StickyLeastLoaded, ThroughGateway
from bench.affinity.trace import Session, Shape, make_session


def sessions_of(trace: dict[str, Any]) -> list[Session]:
    """Sessions of one shape that begin evenly within `within_s`."""
    shape, count = Shape(**trace["shape"]), trace["sessions"]
    return [
        make_session(f"{trace['seed']}-{number:04d}", trace["within_s"] * number / count, shape)
        for number in range(count)
    ]


def router_of(name: str, addresses: list[str]) -> Router:
    """A gateway at the first address, or a router of our own before all of them."""
    if name == "sticky-least-loaded":
        return StickyLeastLoaded(addresses)
    return RoundRobin(addresses) if name == "round-robin" else ThroughGateway(addresses[0])


def main() -> None:
    given = json.loads(sys.argv[1])
    router = router_of(given["router"], given["addresses"])
    answers = asyncio.run(replay(sessions_of(given["trace"]), router, Asking(**given["asking"])))
    print(json.dumps([asdict(answer) for answer in answers]))


if __name__ == "__main__":
    main()
