"""The graph: plan -> worker, worker, ... -> report, with a checkpoint after every turn of every agent.

Who does what is decided by the plan and never by what the model says, so that the workflow also runs on a model whose
words mean nothing.
"""

from __future__ import annotations

import operator
from math import ceil
from typing import Annotated, Any, Literal, TypedDict

from langchain_core.messages import AnyMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Send

from agentfleet_agents.settings import FleetSettings
from examples.langgraph.agents import Agent

ORCHESTRATOR = "orchestrator"


class Task(TypedDict):
    """A worker, what it is asked, and in how many turns it answers."""

    agent: str
    question: str
    turns: int


class Order(TypedDict):
    """What a workflow is started with."""

    subject: str
    workers: int
    turns: int
    max_tokens: int


class Workflow(Order):
    """The state of the whole; `conversation` is the orchestrator's."""

    tasks: list[Task]
    conversation: Annotated[list[AnyMessage], add_messages]
    findings: Annotated[dict[str, list[str]], operator.or_]


class Work(TypedDict):
    """The state of one worker."""

    task: Task
    max_tokens: int
    conversation: Annotated[list[AnyMessage], add_messages]


class Findings(TypedDict):
    """What a worker gives to the workflow: its answers, by its name."""

    findings: dict[str, list[str]]


def build_workflow(
    fleet: FleetSettings, saver: BaseCheckpointSaver[Any]
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The graph, on a fleet and a place for its checkpoints."""
    steps = _Steps(fleet)
    graph = StateGraph(Workflow, input_schema=Order)
    graph.add_node("plan", steps.plan)
    graph.add_node("worker", _worker(steps))
    graph.add_node("report", steps.report)
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", fan_out, ["worker"])
    graph.add_edge("worker", "report")
    graph.add_edge("report", END)
    return graph.compile(checkpointer=saver)


def tasks_of(order: Order) -> list[Task]:
    """The plan. Questions are of unequal depth: the last worker needs `turns` turns, those before it fewer."""
    return [
        Task(
            agent=f"worker-{number}",
            question=f"What is part {number} of {order['workers']} of this: {order['subject']}?",
            turns=ceil(order["turns"] * number / order["workers"]),
        )
        for number in range(1, order["workers"] + 1)
    ]


def fan_out(state: Workflow) -> list[Send]:
    """One worker for every task, all at once."""
    return [
        Send("worker", {"task": task, "max_tokens": state["max_tokens"], "conversation": []})
        for task in state["tasks"]
    ]


def answers(conversation: list[AnyMessage]) -> list[str]:
    """What the model said, turn by turn."""
    return [message.text for message in conversation if message.type == "ai"]


def _worker(steps: _Steps) -> CompiledStateGraph[Any, Any, Any, Any]:
    """A graph of its own, so that each turn is a checkpoint: a killed worker goes on with the turn that it was at."""
    graph = StateGraph(Work, output_schema=Findings)
    graph.add_node("turn", steps.turn)
    graph.add_node("hand_in", steps.hand_in)
    graph.add_edge(START, "turn")
    graph.add_conditional_edges("turn", steps.after_turn)
    graph.add_edge("hand_in", END)
    return graph.compile()


class _Steps:
    """The nodes; each makes at most one call of the model."""

    def __init__(self, fleet: FleetSettings) -> None:
        self._fleet = fleet

    def plan(self, state: Order, config: RunnableConfig) -> dict[str, Any]:
        """The orchestrator's first turn."""
        agent = self._agent(config, ORCHESTRATOR)
        opening: list[AnyMessage] = [
            SystemMessage(_brief(agent, state["subject"])),
            HumanMessage(f"Say how {state['workers']} workers should share this work."),
        ]
        answer = agent.ask(opening, state["max_tokens"])
        return {"conversation": [*opening, answer], "tasks": tasks_of(state), "findings": {}}

    def turn(self, state: Work, config: RunnableConfig) -> dict[str, Any]:
        """One turn of one worker."""
        task, so_far = state["task"], state["conversation"]
        agent = self._agent(config, task["agent"])
        asked: list[AnyMessage] = [HumanMessage("Go on.")]
        if not so_far:
            asked = [SystemMessage(_brief(agent, task["question"])), HumanMessage(task["question"])]
        answer = agent.ask([*so_far, *asked], state["max_tokens"])
        return {"conversation": [*asked, answer]}

    def after_turn(self, state: Work) -> Literal["turn", "hand_in"]:
        """Whether the worker has turns left."""
        return "turn" if len(answers(state["conversation"])) < state["task"]["turns"] else "hand_in"

    def hand_in(self, state: Work) -> Findings:
        """The end of a worker."""
        return {"findings": {state["task"]["agent"]: answers(state["conversation"])}}

    def report(self, state: Workflow, config: RunnableConfig) -> dict[str, Any]:
        """The orchestrator's second turn, in the session of its first."""
        findings = "\n".join(f"{agent}: {said[-1]}" for agent, said in sorted(state["findings"].items()))
        asked = HumanMessage(f"Report what they found.\n{findings}")
        answer = self._agent(config, ORCHESTRATOR).ask([*state["conversation"], asked], state["max_tokens"])
        return {"conversation": [asked, answer]}

    def _agent(self, config: RunnableConfig, name: str) -> Agent:
        return Agent(self._fleet, config["configurable"]["thread_id"], name)


def _brief(agent: Agent, subject: str) -> str:
    """What a session begins with. No two begin alike: what the engine finds in its cache is the session's own."""
    duties = (
        "Read the whole of what you were given before you answer. Keep to the facts that stand there, and say which of "
        "them you used. Where two of them disagree, name both and prefer the newer one. Write for a colleague who "
        "knows the field and has two minutes. "
    )
    return f"You are {agent.session}, and this is your subject: {subject}. {duties}"
