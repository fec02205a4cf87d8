"""What a gateway adds to a stream: latency, processor time and memory at 1,000 concurrent streams, side by side.

    make bench-gateway

One lab node holds the gateways, the replicas (a stand-in that answers at once) and the load generator, so that nothing
but the gateway lies between. Candidates take turns, round after round, under the same load; what a gateway adds is the
difference to going direct in the same round, and of the rounds the median counts. Ends with 1 where the fleet's own
gateway adds more than the bars say.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from bench.gateway.candidates import (
    Candidate,
    Cost,
    install,
    litellm_binds,
    prefer,
    start_haproxy,
    start_hashing,
    start_litellm,
)
from bench.gateway.fleet_gateway import API_KEY, start_fleet_gateway
from bench.gateway.lab import answer_of, background, in_network_of
from bench.gateway.streams import Figures, Load
from bench.tables import judge, print_table, quantile
from support.lab_stacks import LabStack, StartedNode, swept_lab_stack

P50_BAR_MS, P99_BAR_MS = 1.0, 5.0
MEMORY_BAR = 1.15
"""Most memory in the later half of the turns over the most in the earlier half, without the zones of fixed size.

What a process holds after a turn swings with the streams that it happened to accept and with Lua's collector.
"""

MEMORY_TURNS, MEMORY_TURN_S = 6, 5
"""More turns of the fleet's own gateway, for its memory alone."""

FLEET = "agentfleet"
REPLICA_PORTS = (18001, 18002, 18003)
INTERVAL_S = 1.0
HEAD = (
    *("router", "first chunk", "added", "added to a chunk", "streams, failed, cut", "open", "CPU a stream"),
    "most memory early, late",
    "zones",
)


@dataclass(frozen=True)
class Settings:
    """How much is measured: streams that are open at once, how long each lasts, and how long new ones count."""

    rounds: int
    open_streams: int
    stream_s: int
    for_s: int
    prompt_bytes: int


@dataclass(frozen=True)
class Turn:
    """One candidate in one round: what the streams saw, and what it held and had used when they were over."""

    figures: Figures
    before: Cost
    after: Cost


@dataclass(frozen=True)
class Row:
    """One candidate: added milliseconds over direct (median of the rounds), and what it cost."""

    name: str
    first_chunk_p50_ms: float
    first_chunk_p99_ms: float
    added_p50_ms: float
    added_p99_ms: float
    added_to_chunk_p50_ms: float
    added_to_chunk_p99_ms: float
    streams: int
    errors: int
    cut: int
    most_open: int
    cpu_ms_per_stream: float
    memory_early_bytes: int
    memory_late_bytes: int
    zones_last_bytes: int


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--open-streams", type=int, default=1000)
    parser.add_argument("--stream-s", type=int, default=10)
    parser.add_argument("--for-s", type=int, default=15)
    parser.add_argument("--prompt-bytes", type=int, default=8000)
    parser.add_argument("--format", choices=("table", "json"), default="table")
    given = vars(parser.parse_args())
    style = given.pop("format")
    settings = Settings(**given)
    rows = measure(settings)
    if style == "json":
        print(json.dumps([asdict(row) for row in rows], indent=1))
    else:
        report(rows, settings)
    judge(list(missed_bars(next(row for row in rows if row.name == FLEET))))


def measure(settings: Settings) -> list[Row]:
    """All candidates in every round."""
    turns: dict[str, list[Turn]] = {}
    with stand_ins(settings) as (stack, node):
        candidates = start_candidates(node)
        for number in range(settings.rounds):
            for candidate in candidates:
                turns.setdefault(candidate.name, []).append(
                    take_turn(stack, node, candidate, settings, seed=f"{candidate.name}-{number}")
                )
                print(f"round {number + 1}: {candidate.name}", file=sys.stderr)
        [fleet] = (candidate for candidate in candidates if candidate.name == FLEET)
        briefly = replace(settings, for_s=MEMORY_TURN_S)
        later = [
            take_turn(stack, node, fleet, briefly, seed=f"memory-{number}").after
            for number in range(MEMORY_TURNS)
        ]
    return [
        row_of(name, of_it, turns["direct"], later if name == FLEET else ()) for name, of_it in turns.items()
    ]


@contextmanager
def stand_ins(settings: Settings) -> Iterator[tuple[LabStack, StartedNode]]:
    """A lab node with the distribution's gateways, and the replicas in its network."""
    with swept_lab_stack() as stack:
        node = stack.start("node-1", binds=litellm_binds())
        install(node)
        chunks = round(settings.stream_s / INTERVAL_S)
        words = in_network_of(
            stack,
            "node-1",
            "bench.gateway.instant_upstream",
            *map(str, REPLICA_PORTS),
            *("--chunks", str(chunks), "--interval-s", str(INTERVAL_S)),
        )
        with background(words):
            yield stack, node


def start_candidates(node: StartedNode) -> list[Candidate]:
    """Direct first, then the gateways that this computer has."""
    servers = {f"agents-{n}": f"127.0.0.1:{port}" for n, port in enumerate(REPLICA_PORTS)}
    addresses, here = tuple(servers.values()), node.facts.address
    candidates = [
        Candidate("direct", addresses[0]),
        start_fleet_gateway(node, 8080, servers, max_num_seqs=4096),
        start_hashing(node, here, 8081, addresses),
        start_haproxy(node, here, 8082, addresses),
    ]
    if litellm_binds():
        candidates.append(start_litellm(node, here, 8083, addresses))
    else:
        print("litellm is left out: the cache has no environment of it", file=sys.stderr)
    for candidate in candidates:
        prefer(node, candidate)
    return candidates


def take_turn(
    stack: LabStack, node: StartedNode, candidate: Candidate, settings: Settings, seed: str
) -> Turn:
    """One load through one candidate."""
    load = Load(
        address=candidate.address,
        key=API_KEY,
        open_streams=settings.open_streams,
        stream_s=settings.stream_s,
        for_s=settings.for_s,
        prompt_bytes=settings.prompt_bytes,
        seed=seed,
    )
    before = candidate.cost(node)
    words = in_network_of(stack, "node-1", "bench.gateway.streams", json.dumps(asdict(load)))
    figures = Figures(**answer_of(words))
    return Turn(figures, before, candidate.cost(node))


def row_of(name: str, turns: Sequence[Turn], direct: Sequence[Turn], later: Sequence[Cost]) -> Row:
    """The rounds of one candidate as one line; `later` is what it held after turns beyond them."""

    def at(field: str, share: float) -> list[float]:
        return [quantile(getattr(turn.figures, field), share) for turn in turns]

    def added(field: str, share: float) -> float:
        base = [quantile(getattr(turn.figures, field), share) for turn in direct]
        return statistics.median(mine - theirs for mine, theirs in zip(at(field, share), base, strict=True))

    costs = [turn.after for turn in turns] + list(later)
    held = [cost.memory_bytes for cost in costs]
    all_streams = sum(len(turn.figures.late_ms) for turn in turns)
    cpu_s = sum(turn.after.cpu_s - turn.before.cpu_s for turn in turns)
    return Row(
        name=name,
        first_chunk_p50_ms=statistics.median(at("first_chunk_ms", 0.5)),
        first_chunk_p99_ms=statistics.median(at("first_chunk_ms", 0.99)),
        added_p50_ms=added("first_chunk_ms", 0.5),
        added_p99_ms=added("first_chunk_ms", 0.99),
        added_to_chunk_p50_ms=added("chunk_ms", 0.5),
        added_to_chunk_p99_ms=added("chunk_ms", 0.99),
        streams=all_streams,
        errors=sum(turn.figures.errors for turn in turns),
        cut=sum(turn.figures.cut for turn in turns),
        most_open=max(turn.figures.most_open for turn in turns),
        cpu_ms_per_stream=1000 * cpu_s / max(all_streams, 1),
        memory_early_bytes=max(held[: len(held) // 2] or held),
        memory_late_bytes=max(held[len(held) // 2 :]),
        zones_last_bytes=costs[-1].zones_bytes,
    )


def missed_bars(row: Row) -> Iterator[str]:
    """What the fleet's own gateway was asked to keep and did not."""
    if row.added_p50_ms > P50_BAR_MS:
        yield f"added p50 {row.added_p50_ms:.2f} ms is above {P50_BAR_MS} ms"
    if row.added_p99_ms > P99_BAR_MS:
        yield f"added p99 {row.added_p99_ms:.2f} ms is above {P99_BAR_MS} ms"
    if row.errors or row.cut:
        yield f"{row.errors} streams failed and {row.cut} were cut"
    if row.memory_late_bytes > MEMORY_BAR * row.memory_early_bytes:
        yield f"memory grew from {_mib(row.memory_early_bytes)} to {_mib(row.memory_late_bytes)} MiB"


def report(rows: Sequence[Row], settings: Settings) -> None:
    """Candidates under each other; a ratio says more than a number of this computer."""
    rate = settings.open_streams / settings.stream_s
    print_table(
        f"{settings.open_streams} streams open at once, {rate:.0f} new ones a second, "
        f"{settings.prompt_bytes} B of prompt, {settings.rounds} rounds of {settings.for_s} s, median of the rounds; "
        f"p50 / p99; {os.cpu_count()} CPUs",
        HEAD,
        (
            (
                row.name,
                f"{row.first_chunk_p50_ms:.2f} / {row.first_chunk_p99_ms:.2f} ms",
                f"{row.added_p50_ms:+.2f} / {row.added_p99_ms:+.2f} ms",
                f"{row.added_to_chunk_p50_ms:+.2f} / {row.added_to_chunk_p99_ms:+.2f} ms",
                f"{row.streams}, {row.errors}, {row.cut}",
                str(row.most_open),
                f"{row.cpu_ms_per_stream:.2f} ms",
                f"{_mib(row.memory_early_bytes)}, {_mib(row.memory_late_bytes)} MiB",
                f"{_mib(row.zones_last_bytes)} MiB",
            )
            for row in rows
        ),
    )


def _mib(count: int) -> str:
    return f"{count / (1 << 20):.1f}"


if __name__ == "__main__":
    main()
