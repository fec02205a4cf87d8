"""Where agents keep what must outlive a session."""

from __future__ import annotations

from pydantic import Field

from infra.spec.kinds import Durability, Saver, StateHa, StateKind
from infra.spec.part import Part
from infra.spec.quantities import Number, Port, StoreBytes, Switch, TextBytes, Whole
from infra.spec.text import KeyPrefix, NodeName

SENTINEL_PORT_STEP = 20_000
"""From the store's port to its Sentinel's: 6379 and 26379, as everybody knows them."""


class StateStore(Part):
    """Where agents keep what must outlive a session.

    What a session takes follows from its text, its messages and its checkpoints, see infra/store; what the store must
    hold, from the sessions that begin in the time for which they are kept.
    """

    kind: StateKind = Field(
        default=StateKind.NONE, description="The program that keeps agent state: none, redis or valkey."
    )
    node: NodeName | None = Field(
        default=None,
        description="The node that carries the store; the first one without a replica when omitted.",
    )
    port: Port = Field(default=6379, description="The port where agents reach the store.")
    tls: Switch = Field(
        default=True, description="Whether the store speaks TLS, with a certificate of the fleet's own CA."
    )
    ttl_s: Whole = Field(
        default=86_400,
        ge=60,
        le=31_536_000,
        description="The seconds for which a silent session is kept, the savers' TTL.",
    )
    sessions_per_hour: Whole | None = Field(
        default=None,
        ge=1,
        le=100_000_000,
        description="The sessions that begin in an hour; as many as are open at once when omitted.",
    )
    saver: Saver = Field(
        default=Saver.VALKEY, description="The LangGraph saver of the agents: valkey, redis or shallow."
    )
    durability: Durability = Field(
        default=Durability.ASYNC, description="LangGraph's durability: async, sync or exit."
    )
    llm_calls: Whole = Field(
        default=8, ge=1, le=100_000, description="The calls of the model in one session, over all its turns."
    )
    messages: Whole | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="The messages in a session's state at its end; two for every call when omitted.",
    )
    checkpoints: Whole | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="The checkpoints of one session; 2.5 for every call when omitted, with exit one for every two.",
    )
    text_bytes: TextBytes | None = Field(
        default=None,
        alias="text",
        description="The text of a session at its end, such as 32KiB; four bytes for every token when omitted.",
    )
    maxmemory_bytes: StoreBytes | None = Field(
        default=None,
        alias="maxmemory",
        description="The most that the store holds, such as 4GiB; what the sessions need when omitted.",
    )
    alarm_share: Number = Field(
        default=0.75, gt=0, lt=1, description="The share of maxmemory at which the store raises its alarm."
    )
    key_prefixes: tuple[KeyPrefix, ...] = Field(
        default=(),
        description="Prefixes of keys that agents may use beside those of the saver and of CrewAI.",
    )
    ha: StateHa = Field(
        default=StateHa.NONE, description="What takes over when the store's node dies: none or sentinel."
    )
    nodes: tuple[NodeName, ...] | None = Field(
        default=None, description="With ha sentinel, the three nodes, the first primary first."
    )
