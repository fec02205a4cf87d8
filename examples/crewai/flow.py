"""The flow: plan -> draft -> revise. Every finished step is in the store and is not done again.

What the steps are is decided here and never by what the model says, so that the flow also runs on a model whose words
mean nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from crewai import LLM, Agent, Crew, Process, Task
from crewai.flow.flow import Flow, listen, start
from crewai.flow.persistence import persist
from pydantic import BaseModel, Field

from agentfleet_agents.settings import FleetSettings

REQUEST_TIMEOUT_S = 300
Tell = Callable[[dict[str, Any]], None]


class Article(BaseModel):
    """The state: what was ordered, and the outcome of each finished step by its name."""

    id: str = ""
    subject: str = ""
    max_tokens: int = 32
    done: dict[str, str] = Field(default_factory=dict)


@persist()
class ArticleFlow(Flow[Article]):
    """A flow that is started again runs all its methods, so each skips what is done; @persist saves after each."""

    fleet: FleetSettings
    tell: Tell
    _skip_auto_memory: bool = True
    """Else CrewAI opens a LanceDB memory on this host, which no other host would see."""

    @start()
    def plan(self) -> str:
        """One call of the model, in a session of its own."""
        question = f"You are the editor. Say what an article on {self.state.subject} should hold."
        return self._once("plan", lambda: str(self._model("editor").call(question)))

    @listen(plan)
    def draft(self) -> str:
        """A crew works along the plan."""
        return self._once("draft", lambda: self._crew(f"Follow this plan: {self.state.done['plan']}"))

    @listen(draft)
    def revise(self) -> str:
        """The same agents, in the same sessions, work over what they wrote."""
        return self._once("revise", lambda: self._crew(f"Improve this draft: {self.state.done['draft']}"))

    def _once(self, step: str, work: Callable[[], str]) -> str:
        if step not in self.state.done:
            self.tell({"event": "began", "step": step})
            self.state.done[step] = work()
        outcome: str = self.state.done[step]
        return outcome

    def _crew(self, order: str) -> str:
        """A researcher and a writer, one after the other; a crew that was killed begins again with its first task."""
        researcher = self._agent("researcher", "find what is known about the subject")
        writer = self._agent("writer", "write it down for a colleague who has two minutes")
        facts = Task(
            description=f"Collect facts on {self.state.subject}. {order}",
            expected_output="Three facts.",
            agent=researcher,
        )
        text = Task(
            description=f"Write about {self.state.subject}. {order}",
            expected_output="One paragraph.",
            agent=writer,
            context=[facts],
        )
        return str(
            Crew(agents=[researcher, writer], tasks=[facts, text], process=Process.sequential).kickoff()
        )

    def _agent(self, role: str, goal: str) -> Agent:
        backstory = (
            f"You are the {role} of the article {self.state.id}. You read the whole of what you were given before you "
            "answer. You keep to the facts that stand there, and say which of them you used. Where two of them "
            "disagree, you name both and prefer the newer one."
        )
        return Agent(
            role=role,
            goal=goal,
            backstory=backstory,
            llm=self._model(role),
            allow_delegation=False,
            max_iter=2,
        )

    def _model(self, agent: str) -> LLM:
        """The fleet's model in the session of this agent: the same in all steps and in all processes."""
        return LLM(
            model=self.fleet.model,
            custom_openai=True,
            base_url=self.fleet.base_url,
            api_key=self.fleet.api_key,
            default_headers={self.fleet.session_header: f"{self.state.id}.{agent}"},
            max_tokens=self.state.max_tokens,
            temperature=0,
            timeout=REQUEST_TIMEOUT_S,
        )
