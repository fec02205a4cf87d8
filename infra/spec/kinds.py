"""The closed sets of a spec: every word that one of its keys may take."""

from __future__ import annotations

from enum import StrEnum


class Topology(StrEnum):
    """Who talks to whom in one workflow; decides how many sessions are open at once."""

    FLAT = "flat"
    HIERARCHICAL = "hierarchical"
    PIPELINE = "pipeline"


class Role(StrEnum):
    """What the sessions of a pool do in the topology; LONG takes those of any role that outgrow its pool."""

    AGENT = "agent"
    ORCHESTRATOR = "orchestrator"
    WORKER = "worker"
    STAGE = "stage"
    LONG = "long"


class ContextStrategy(StrEnum):
    """What an agent does when a session outgrows its context."""

    CAP = "cap"
    SLIDING_WINDOW = "sliding_window"
    SUMMARISE = "summarise"


class Dtype(StrEnum):
    """vLLM's --dtype, without its synonyms."""

    AUTO = "auto"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    FLOAT32 = "float32"


class KvCacheDtype(StrEnum):
    """vLLM's --kv-cache-dtype, as far as the memory arithmetic knows its bytes per token."""

    AUTO = "auto"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    FP8 = "fp8"
    FP8_E4M3 = "fp8_e4m3"
    FP8_E5M2 = "fp8_e5m2"


class GeneratedModel(StrEnum):
    """Small random models that the set-up can make for lab nodes."""

    TINY_LLAMA = "tiny-llama"


class NodeSource(StrEnum):
    """Where the machines come from."""

    LAB = "lab"
    SSH = "ssh"


class Hardening(StrEnum):
    """How much of the machine the engine's unit may see."""

    STRICT = "strict"
    RELAXED = "relaxed"


class GatewayKind(StrEnum):
    """What stands before the replicas."""

    NONE = "none"
    NGINX = "nginx"
    LITELLM = "litellm"


class TlsKind(StrEnum):
    """Where the gateway's certificate comes from."""

    NONE = "none"
    GENERATED = "generated"
    FILES = "files"


class StateKind(StrEnum):
    """Where agents keep what must outlive a session."""

    NONE = "none"
    REDIS = "redis"
    VALKEY = "valkey"


class Saver(StrEnum):
    """LangGraph's checkpoint savers: on any server, or with RedisJSON and RediSearch alone."""

    VALKEY = "valkey"
    REDIS = "redis"
    SHALLOW = "shallow"


class Durability(StrEnum):
    """When LangGraph writes checkpoints: beside the next step, before it, or at the end of a turn."""

    ASYNC = "async"
    SYNC = "sync"
    EXIT = "exit"


class StateHa(StrEnum):
    """What takes over when the store's node dies."""

    NONE = "none"
    SENTINEL = "sentinel"


class QueueKind(StrEnum):
    """Where tasks wait that need no answer at once."""

    NONE = "none"
    REDIS_STREAMS = "redis-streams"
    RABBITMQ = "rabbitmq"
