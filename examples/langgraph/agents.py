"""What an agent is to the fleet: a session, whose turns the gateway sends to the replica that has its KV cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, AnyMessage
from langchain_openai import ChatOpenAI
from langgraph.config import get_stream_writer
from pydantic import SecretStr

from agentfleet_agents.settings import FleetSettings

REQUEST_TIMEOUT_S = 300
RETRIES = 3
"""Of a call that gave no answer; a session whose replica died is answered by another one."""

REPLICA_HEADER = "x-fleet-replica"
"""Where the gateway says which replica answered; another gateway says nothing."""


@dataclass(frozen=True)
class Agent:
    """One agent of one workflow."""

    fleet: FleetSettings
    workflow: str
    name: str

    @property
    def session(self) -> str:
        """The same for all turns of the agent, in whatever process they are made; never shared between agents."""
        return f"{self.workflow}.{self.name}"

    def ask(self, conversation: Sequence[AnyMessage], max_tokens: int) -> AIMessage:
        """The model's answer to the whole conversation; tells the stream of the workflow before and after."""
        turn = sum(message.type == "ai" for message in conversation) + 1
        tell = get_stream_writer()
        tell({"event": "asked", "agent": self.name, "turn": turn})
        answer = self._model(max_tokens).invoke(list(conversation))
        usage: Mapping[str, Any] = answer.usage_metadata or {}
        # Said here and not kept: what is in a message is stored again with every checkpoint.
        headers = answer.response_metadata.pop("headers", {})
        tell(
            {
                "event": "answered",
                "agent": self.name,
                "turn": turn,
                "replica": headers.get(REPLICA_HEADER),
                "prompt_tokens": usage.get("input_tokens"),
                "tokens": usage.get("output_tokens"),
            }
        )
        return answer

    def _model(self, max_tokens: int) -> ChatOpenAI:
        """LangChain keeps one pool of connections for all of them."""
        return ChatOpenAI(
            model=self.fleet.model,
            base_url=self.fleet.base_url,
            api_key=SecretStr(self.fleet.api_key),
            default_headers={self.fleet.session_header: self.session},
            max_completion_tokens=max_tokens,
            temperature=0,
            timeout=REQUEST_TIMEOUT_S,
            max_retries=RETRIES,
            include_response_headers=True,
        )
