"""The whole spec: what an operator wrote, validated part by part. Rules between parts are in rules.py."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from infra.spec.access import Access
from infra.spec.engine import Engine, GateSpec
from infra.spec.gateway import Gateway
from infra.spec.nodes import Nodes
from infra.spec.part import Part
from infra.spec.queue import Queue
from infra.spec.state import StateStore
from infra.spec.text import FleetName, ModelKey
from infra.spec.workload import ModelSpec, Pool, Workload


class FleetSpec(Part):
    """One fleet of agents: the workload, the models, the pools that serve them and the machines below."""

    name: FleetName = Field(description="The fleet's name, part of every unit and path on the nodes.")
    workload: Workload = Field(description="The agents, their workflows and their contexts.")
    models: Mapping[ModelKey, ModelSpec] = Field(
        min_length=1, description="The models, each under a key of its own."
    )
    pools: Mapping[FleetName, Pool] = Field(
        min_length=1, description="The pools of replicas, each under its name."
    )
    nodes: Nodes = Field(description="The machines and their source.")
    engine: Engine = Field(default=Engine(), description="The version of vLLM and its settings.")
    access: Access = Field(default=Access(), description="Who may reach the endpoint.")
    gateway: Gateway = Field(default=Gateway(), description="The program before the replicas.")
    state: StateStore = Field(default=StateStore(), description="The store of agent state.")
    queue: Queue = Field(default=Queue(), description="The queue of background tasks.")
    autoscale: None = Field(default=None, description="Automatic scaling: null until it is built.")
    gate: GateSpec = Field(default=GateSpec(), description="What the deploy gate allows.")
