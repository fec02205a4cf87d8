"""`python -m examples.langgraph start|resume|show NAME`: one workflow, in a process that may be killed at any time.

What happens and what is stored is printed as JSON, one object a line.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph

from agentfleet_agents.langgraph import open_saver
from agentfleet_agents.settings import fleet_settings
from examples.command import REFUSED, arguments, exit_code, is_refused, say
from examples.langgraph.workflow import ORCHESTRATOR, Order, answers, build_workflow

AT_ONCE = 64
"""Agents that may wait for the model at once. LangGraph's own bound is four more than there are processors: the others
wait, and behind them waits what would store the answers of those that are done."""

Graph = CompiledStateGraph[Any, Any, Any, Any]


def main() -> int:
    """0 when the workflow has ended or was shown; 2 when there is one already (start) or none (resume, show)."""
    asked = arguments("examples.langgraph", __doc__, _add_order)
    config = RunnableConfig(configurable={"thread_id": asked.name}, max_concurrency=AT_ONCE)
    with _graph() as graph:
        is_known = graph.get_state(config).created_at is not None
        if is_refused(asked, is_known=is_known):
            return REFUSED
        if asked.verb != "show":
            order = None if is_known else _order_of(asked)
            # With "sync" a turn is stored before the next one is asked, so that a kill costs only the turns in flight.
            for _, event in graph.stream(
                order, config, stream_mode="custom", subgraphs=True, durability="sync"
            ):
                say(event)
        say(stored(graph, config))
    return 0


def stored(graph: Graph, config: RunnableConfig) -> dict[str, Any]:
    """What the store holds of a workflow: its next steps, and how many turns of each agent are done."""
    snapshot = graph.get_state(config, subgraphs=True)
    findings = dict(snapshot.values.get("findings", {}))
    for task in snapshot.tasks:
        if task.result:  # a worker that is done, beside others that are not
            findings |= task.result.get("findings", {})
        elif (work := getattr(task.state, "values", None)) and work.get("conversation"):
            findings[work["task"]["agent"]] = answers(work["conversation"])
    turns = {agent: len(said) for agent, said in findings.items()}
    turns[ORCHESTRATOR] = len(answers(snapshot.values.get("conversation", [])))
    return {"event": "stored", "next": list(snapshot.next), "turns": turns}


@contextmanager
def _graph() -> Iterator[Graph]:
    fleet = fleet_settings()
    with open_saver(fleet) as saver:
        yield build_workflow(fleet, saver)


def _order_of(asked: argparse.Namespace) -> Order:
    return Order(subject=asked.subject, workers=asked.workers, turns=asked.turns, max_tokens=asked.max_tokens)


def _add_order(start: argparse.ArgumentParser) -> None:
    start.add_argument("--workers", type=int, default=3)
    start.add_argument(
        "--turns", type=int, default=6, help="of the worker with the deepest question (%(default)s)"
    )


if __name__ == "__main__":
    sys.exit(exit_code(main))
