"""`python -m examples.crewai start|resume|show NAME`: one flow, in a process that may be killed at any time.

What happens and what is stored is printed as JSON, one object a line.
"""

from __future__ import annotations

import sys
from typing import Any

from crewai.events import LLMCallCompletedEvent, crewai_event_bus

from agentfleet_agents.crewai import StoredFlows, keep_flows
from agentfleet_agents.settings import FleetSettings, fleet_settings
from examples.command import REFUSED, arguments, exit_code, is_refused, say


def main() -> int:
    """0 when the flow has ended or was shown; 2 when there is one already (start) or none (resume, show)."""
    asked = arguments("examples.crewai", __doc__, lambda _: None)
    fleet = fleet_settings()
    store = StoredFlows(settings=fleet)
    # Looked up here, because CrewAI starts a flow afresh without a word when its state is not found.
    state = store.load_state(asked.name)
    if is_refused(asked, is_known=state is not None):
        return REFUSED
    if asked.verb != "show":
        keep_flows(fleet)
        order = {"subject": asked.subject, "max_tokens": asked.max_tokens} if state is None else {}
        _run(fleet, {"id": asked.name, **order})
        state = store.load_state(asked.name)
    say({"event": "stored", "done": list((state or {}).get("done", {}))})
    return 0


def _run(fleet: FleetSettings, inputs: dict[str, Any]) -> None:
    from examples.crewai.flow import ArticleFlow  # noqa: PLC0415  # @persist asks for the place of its states here

    with crewai_event_bus.scoped_handlers():
        crewai_event_bus.on(LLMCallCompletedEvent)(_say_answered)
        ArticleFlow(fleet=fleet, tell=say, suppress_flow_events=True).kickoff(inputs=inputs)


def _say_answered(_source: Any, event: LLMCallCompletedEvent) -> None:
    say({"event": "answered", "agent": event.agent_role or "editor", **(event.usage or {})})


if __name__ == "__main__":
    sys.exit(exit_code(main))
