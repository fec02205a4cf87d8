"""Why multi-agent systems differ; topologies and their footprints."""

from __future__ import annotations

from article_claims import (
    MODEL,
    Ours,
    Section,
    about,
    at_least,
    at_most,
    corrects,
    exactly,
    reproduces,
    undecided,
)
from article_sizes import GIB, LARGE, SMALL, K, seats, sized, token_bytes, weights_gib

from infra.spec.kinds import Role, Topology
from infra.topology import Session, stage_slots, topology_slots


def _slots(topology: Topology, agents: int, workflows: int, *roles: Role) -> float:
    found = topology_slots(topology, agents, workflows)
    return sum(item.sessions for item in found if not roles or item.role in roles)


def _room_beside_the_large_model_gib() -> float:
    memory = sized(LARGE, "H100-SXM", 8 * K, sessions=1)
    return (memory.usable_bytes - memory.weights_bytes) / GIB


def _gpus_of_a_hierarchical_fleet() -> float:
    """H100s for one 70B orchestrator session and one 8B worker session of 8K."""
    orchestrator = next(gpus for gpus in (1, 2, 4, 8) if seats(LARGE, "H100-SXM", 8 * K, gpus, sessions=1))
    worker = next(gpus for gpus in (1, 2, 4, 8) if seats(SMALL, "H100-SXM", 8 * K, gpus, sessions=1))
    return orchestrator + worker


DIFFERENCES = Section(
    "Why multi-agent systems differ",
    (
        reproduces(
            "An orchestrator with 20 workers runs 20 worker sessions",
            exactly("20", 20),
            Ours(lambda: _slots(Topology.HIERARCHICAL, 20, 1, Role.WORKER), 20, "{:.0f} sessions"),
            "one slot for each worker, and a 21st for the orchestrator itself",
        ),
        reproduces(
            "Five sub-agents in parallel are five sessions",
            exactly("5", 5),
            Ours(lambda: _slots(Topology.FLAT, 5, 1), 5, "{:.0f} sessions"),
            "flat: agents x workflows",
        ),
        undecided(
            "Sized for one agent, five of them run out of slots",
            "within minutes",
            "when it happens depends on how fast workflows arrive; that it happens follows from the slots",
        ),
        reproduces(
            "A 70B model in FP8 fills an 80 GB H100 and leaves no room for a worker model",
            at_most("no room", weights_gib(SMALL)),
            Ours(_room_beside_the_large_model_gib, 3.57, "{:.1f} GiB", 0.1),
            "at utilization 0.90 less is left than the 8.5 GiB of an 8B's weights, and less than the engine's own "
            "overheads and one session of 8K take",
        ),
        undecided(
            "A call from agent to agent adds a hop",
            "5-50 ms",
            "a latency of the network and the programs on it; it takes a measurement",
        ),
        reproduces(
            "A tool call of 500 tokens takes 500 tokens of KV cache for the rest of the session",
            exactly("500", 500),
            Ours(lambda: Session(2000, 1, 500).grown_tokens - 2000, 500, "{:.0f} tokens"),
            f"what is appended stays: {500 * token_bytes(SMALL) / (1 << 20):.1f} MiB of an 8B model in FP8",
        ),
        reproduces(
            "Five tool calls can triple a session's KV cache",
            exactly("3x", 3),
            Ours(lambda: Session(1250, 5, 500).growth, 3, "{:.1f}x"),
            "for a request of 1,250 tokens; one of 8K grows by 1.3x, so the factor must be computed, not assumed",
        ),
        reproduces(
            "100 users of a single agent are 100 slots",
            exactly("100", 100),
            Ours(lambda: _slots(Topology.FLAT, 1, 100), 100, "{:.0f} sessions"),
            "one agent x 100 workflows",
        ),
        reproduces(
            "100 users of a workflow with 5 parallel agents are up to 500 slots",
            exactly("500", 500),
            Ours(lambda: _slots(Topology.FLAT, 5, 100), 500, "{:.0f} sessions"),
            "5 agents x 100 workflows, all at work at once",
        ),
        reproduces(
            "That is five times the KV cache of the single agent",
            exactly("5x", 5),
            Ours(lambda: _slots(Topology.FLAT, 5, 100) / _slots(Topology.FLAT, 1, 100), 5, "{:.0f}x"),
            "slots of the same context are in proportion",
        ),
    ),
)

TOPOLOGIES = Section(
    "Topologies and their footprints",
    (
        reproduces(
            "Flat: N agents are N slots",
            exactly("N", 12),
            Ours(lambda: _slots(Topology.FLAT, 12, 1), 12, "{:.0f} sessions for N = 12"),
            "per workflow; times the workflows that run at once",
        ),
        reproduces(
            "Hierarchical: (1 orchestrator + N workers) x users",
            exactly("(1 + N) x users", (1 + 20) * 10),
            Ours(
                lambda: _slots(Topology.HIERARCHICAL, 20, 10), 210, "{:.0f} sessions for N = 20 and 10 users"
            ),
            "10 in the orchestrator's pool, 200 in the workers'",
        ),
        reproduces(
            "Pipeline: 100 workflows of 5 stages are about 100 active agents, not 500",
            exactly("100", 100),
            Ours(lambda: _slots(Topology.PIPELINE, 5, 100), 100, "{:.0f} sessions"),
            "one active stage for each workflow",
        ),
        corrects(
            "which is about 20 in each stage",
            about("~20", 20, 0.05),
            Ours(lambda: stage_slots(100, [1 / 5] * 5), 30, "{:.0f} sessions"),
            "20 is the mean: where each stage has a pool of its own, the fullest holds up to 30 (95th percentile), "
            "more if one stage is slower",
        ),
        reproduces(
            "Flat on a single large GPU: under 50 workflows",
            about("< 50", 50, 0.1),
            Ours(lambda: seats(SMALL, "H100-SXM", 4 * K) // 5, 48, "{:.0f} workflows", MODEL),
            "with 5 agents of 4K each (8B in FP8 on an H100); with 8K it is 24, so the limit is one of sessions and "
            "context, not of workflows",
        ),
        reproduces(
            "Hierarchical takes two GPUs or more",
            at_least("2+ GPUs", 2),
            Ours(_gpus_of_a_hierarchical_fleet, 3, "{:.0f} x H100"),
            "an engine serves one model; a 70B orchestrator does not seat one session of 8K on a single H100",
        ),
    ),
)
