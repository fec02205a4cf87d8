"""The fleet spec: what an operator writes, parsed into frozen values with all problems named at once.

parse(text, file)   text to FleetSpec
load(path)          file to FleetSpec
schema()            the JSON Schema that editors complete from
"""

from __future__ import annotations

from infra.spec.access import Access
from infra.spec.engine import Engine, GateSpec
from infra.spec.files import load
from infra.spec.flags import COUNTED_FLAGS, OWNED_FLAGS
from infra.spec.fleet import FleetSpec
from infra.spec.gateway import Gateway, Tls
from infra.spec.kinds import (
    ContextStrategy,
    Dtype,
    Durability,
    GatewayKind,
    GeneratedModel,
    Hardening,
    KvCacheDtype,
    NodeSource,
    QueueKind,
    Role,
    Saver,
    StateHa,
    StateKind,
    TlsKind,
    Topology,
)
from infra.spec.nodes import HostSpec, Lab, Nodes
from infra.spec.parse import parse
from infra.spec.queue import Queue
from infra.spec.schema import schema, schema_text
from infra.spec.state import StateStore
from infra.spec.workload import ModelSpec, Pool, ToolCalls, Weights, Workload

__all__ = [
    "COUNTED_FLAGS",
    "OWNED_FLAGS",
    "Access",
    "ContextStrategy",
    "Dtype",
    "Durability",
    "Engine",
    "FleetSpec",
    "GateSpec",
    "Gateway",
    "GatewayKind",
    "GeneratedModel",
    "Hardening",
    "HostSpec",
    "KvCacheDtype",
    "Lab",
    "ModelSpec",
    "NodeSource",
    "Nodes",
    "Pool",
    "Queue",
    "QueueKind",
    "Role",
    "Saver",
    "StateHa",
    "StateKind",
    "StateStore",
    "Tls",
    "TlsKind",
    "ToolCalls",
    "Topology",
    "Weights",
    "Workload",
    "load",
    "parse",
    "schema",
    "schema_text",
]
