"""What the fleet is for: the agents, the models they ask, and the pools that serve those models."""

from __future__ import annotations

from pydantic import Field

from infra.spec.addresses import Endpoint
from infra.spec.kinds import ContextStrategy, Dtype, GeneratedModel, Role, Topology
from infra.spec.part import Part
from infra.spec.quantities import Number, Port, Whole
from infra.spec.text import (
    ConfigKey,
    HubId,
    Line,
    Method,
    ModelKey,
    NodeFolder,
    NodeName,
    Revision,
    ServedName,
)

CHECKPOINT_TOKENS = 5_000
SUMMARY_TOKENS = 500
"""A summary of 500 tokens for every 5,000: the example of the sizing article of March 2026."""


class ToolCalls(Part):
    """Tool calls of one session, whose results stay in its context."""

    count: Whole = Field(ge=0, le=10_000, description="The number of tool calls in one session.")
    tokens: Whole = Field(ge=1, le=1_000_000, description="The tokens that one call and its result add.")


class LongSessions(Part):
    """The few sessions that outgrow the context of all others, and move to a pool of their own."""

    share: Number = Field(gt=0, lt=1, description="The share of the sessions that get so long.")
    context_tokens: Whole = Field(
        ge=128, le=10_000_000, description="The tokens of a long session, tool calls included."
    )


class Workload(Part):
    """How many agents work at once, and how much each keeps in mind."""

    topology: Topology = Field(description="The topology, who talks to whom: flat, hierarchical or pipeline.")
    agents: Whole = Field(
        ge=1,
        le=10_000,
        description="The number of agents per workflow (flat), workers per orchestrator (hierarchical)"
        " or stages (pipeline).",
    )
    workflows: Whole = Field(ge=1, le=1_000_000, description="The number of workflows that run at once.")
    context_tokens: Whole = Field(
        ge=128, le=10_000_000, description="The tokens of one session, prompt and output, 95th percentile."
    )
    shared_prefix_tokens: Whole = Field(
        default=0, ge=0, le=10_000_000, description="The tokens that all sessions of a pool begin with."
    )
    tool_calls: ToolCalls | None = Field(default=None, description="The tool calls of one session.")
    context_strategy: ContextStrategy = Field(
        default=ContextStrategy.CAP, description="What an agent does when a session outgrows its context."
    )
    window_tokens: Whole | None = Field(
        default=None,
        ge=128,
        le=10_000_000,
        description="With sliding_window, the newest tokens that a session keeps; context_tokens when omitted.",
    )
    checkpoint_tokens: Whole | None = Field(
        default=None,
        ge=128,
        le=10_000_000,
        description="With summarise, the tokens of tool calls that one summary replaces; 5000 when omitted.",
    )
    summary_tokens: Whole | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="With summarise, the tokens of a summary; 500 when omitted.",
    )
    long_sessions: LongSessions | None = Field(
        default=None, description="With cap, the sessions that a pool with the role long takes over."
    )


class Weights(Part):
    """Where a model's weights come from: exactly one of hub, path and generated."""

    hub: HubId | None = Field(
        default=None, description="A model of the Hugging Face hub, as organisation/name."
    )
    revision: Revision | None = Field(
        default=None, description="The hub's commit, tag or branch; only a commit never changes."
    )
    token_config: ConfigKey | None = Field(
        default=None,
        description="The name of a Pulumi config secret that holds the hub's token, for gated models.",
    )
    endpoint: Endpoint | None = Field(
        default=None, description="The address of a mirror of the hub; the hub itself when omitted."
    )
    path: NodeFolder | None = Field(default=None, description="A folder that already stands on every node.")
    generated: GeneratedModel | None = Field(
        default=None, description="A small random model, on lab nodes only."
    )


class ModelSpec(Part):
    """One model that the fleet serves."""

    config: Line = Field(
        description="The model's name in the catalog, or the path of its config.json beside the spec."
    )
    weights: Weights = Field(description="The source of the weights, one of hub, path and generated.")
    served_name: ServedName | None = Field(
        default=None, description="The name that clients ask for; the model's key when omitted."
    )
    quantization: Method | None = Field(
        default=None, description="vLLM's --quantization, such as fp8; the checkpoint's own when omitted."
    )
    dtype: Dtype = Field(default=Dtype.AUTO, description="vLLM's --dtype for weights and activations.")


class Pool(Part):
    """Replicas of one model with one role."""

    model: ModelKey = Field(description="The key of a model under models.")
    role: Role = Field(
        description="The part that the pool plays: agent, orchestrator, worker, stage or long."
    )
    nodes: tuple[NodeName, ...] | None = Field(
        default=None, min_length=1, description="The nodes that may carry the pool; any node when omitted."
    )
    replicas: Whole | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="The number of replicas; planned from the sessions when omitted.",
    )
    tensor_parallel_size: Whole | None = Field(
        default=None,
        ge=1,
        le=16,
        description="The GPUs per replica; the smallest number that fits when omitted.",
    )
    port: Port = Field(
        default=8000, description="The first replica's port on a node; the next one takes port + 1."
    )
    max_num_seqs: Whole | None = Field(
        default=None,
        ge=1,
        le=65_536,
        description="vLLM's --max-num-seqs; 1.5 to 2 times the peak sessions of a replica when omitted.",
    )
