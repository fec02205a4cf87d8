"""What an agent does with the store, run by the examples' Python: `state_client.py SCENARIO`, one JSON object out."""

# ruff: noqa: PLC0415 - CrewAI is imported by the scenario that needs it: it takes seconds

from __future__ import annotations

import asyncio
import json
import operator
import sys
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

from agentfleet_agents import patience
from agentfleet_agents.errors import StateDamaged, StateUnavailable
from agentfleet_agents.langgraph import open_async_saver, open_saver

CONFIG: Any = {"configurable": {"thread_id": "t*1"}}
TURNS = 40


class Conversation(TypedDict):
    """Words, of which each turn adds two."""

    words: Annotated[list[str], operator.add]


def graph(saver: Any) -> Any:
    """An agent that answers with the number of words so far."""
    builder = StateGraph(Conversation)
    builder.add_node("agent", lambda state: {"words": [str(len(state["words"]))]})
    builder.add_edge(START, "agent")
    builder.add_edge("agent", END)
    return builder.compile(checkpointer=saver)


def say() -> list[str]:
    """One more turn; all words of the session."""
    with open_saver() as saver:
        words: list[str] = graph(saver).invoke({"words": ["hello"]}, CONFIG)["words"]
        return words


def lose_patience() -> None:
    """From now on one retry, whatever the reason."""
    patience.RETRIES = 1
    patience.FAILOVER_LIMIT_S = 1
    patience.WATCHING_WAIT_S = 0


def say_impatiently() -> list[str]:
    """The same with a single retry, for a server that will not come back."""
    lose_patience()
    return say()


def say_async() -> list[str]:
    """The same by asyncio."""

    async def turn() -> list[str]:
        async with open_async_saver() as saver:
            words: list[str] = (await graph(saver).ainvoke({"words": ["hello"]}, CONFIG))["words"]
            return words

    return asyncio.run(turn())


def say_async_impatiently() -> list[str]:
    lose_patience()
    return say_async()


def say_much() -> list[int]:
    """Turns in sessions of their own, while the server is restarted; the words of each."""
    with open_saver() as saver:
        agent = graph(saver)
        for turn in range(TURNS):
            for session in range(4):
                agent.invoke({"words": ["hello"]}, {"configurable": {"thread_id": f"many-{session}"}})
            if turn == 2:
                print("busy", flush=True)
        states = [agent.get_state({"configurable": {"thread_id": f"many-{session}"}}) for session in range(4)]
        return [len(state.values["words"]) for state in states]


def forget() -> int:
    """Delete the session."""
    with open_saver() as saver:
        saver.delete_thread("t*1")
        return len(list(saver.list(CONFIG)))


def forget_async() -> int:
    """The same by asyncio."""

    async def delete() -> int:
        async with open_async_saver() as saver:
            await saver.adelete_thread("t*1")
            return len([item async for item in saver.alist(CONFIG)])

    return asyncio.run(delete())


def flow() -> dict[str, Any]:
    """A CrewAI flow that counts, under a lock of CrewAI's; a second one goes on where the first one ended."""
    from crewai.flow.flow import Flow, start
    from crewai.flow.persistence import persist
    from crewai_core.lock_store import lock
    from pydantic import BaseModel

    from agentfleet_agents.crewai import keep_flows

    keep_flows()

    class Count(BaseModel):
        id: str = ""
        count: int = 0

    @persist()
    class Counter(Flow[Count]):
        _skip_auto_memory: bool = True

        @start()
        def add(self) -> int:
            self.state.count += 11
            return self.state.count

    with lock("counter", timeout=10):
        first = Counter()
        counted = [first.kickoff()]
        counted.append(Counter().kickoff(inputs={"id": first.state.id}))
    return {"id": first.state.id, "counted": counted}


def keep_flow() -> dict[str, Any] | None:
    """The state of a flow, saved as CrewAI does after each of its methods, and read again."""
    from agentfleet_agents.crewai import StoredFlows
    from agentfleet_agents.settings import fleet_settings

    store = StoredFlows(settings=fleet_settings())
    store.save_state("kept", "method", {"count": 11})
    return store.load_state("kept")


def keep_flow_impatiently() -> dict[str, Any] | None:
    lose_patience()
    return keep_flow()


SCENARIOS: dict[str, Callable[[], Any]] = {
    made.__name__: made
    for made in (
        *(say, say_impatiently, say_async, say_async_impatiently, say_much),
        *(forget, forget_async, flow, keep_flow, keep_flow_impatiently),
    )
}


def main() -> None:
    """Run the scenario; an error of the store is an answer too."""
    try:
        answer = {"answer": SCENARIOS[sys.argv[1]]()}
    except (StateUnavailable, StateDamaged) as error:
        answer = {"error": type(error).__name__, "said": str(error)}
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
