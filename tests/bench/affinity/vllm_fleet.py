"""The fleet of stage 2 with real vLLM, on lab nodes, brought up as the provider does it, and its counters."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.affinity.stays import counted
from bench.gateway.candidates import Candidate, install
from bench.gateway.fleet_gateway import API_KEY, SPEC
from infra.plan import make_plan
from infra.plan.fleet_plan import FleetPlan
from infra.plan.read_models import read_models
from infra.plan.state import SERVICE as STORE
from infra.render import render
from infra.spec import parse
from provisioning.converge.machine import Machine
from provisioning.converge.service import converge
from provisioning.converge.version import Version
from provisioning.ssh import Address, Connections
from support.lab_stacks import LabStack, StartedNode, swept_lab_stack


@dataclass(frozen=True)
class PrefixCounters:
    """Tokens of prompts, all replicas together."""

    queried: float
    hit: float


@dataclass(frozen=True)
class VllmFleet:
    """Nodes by name, all engines ready; `servers` are the replicas by name, as the gateway reaches them."""

    stack: LabStack
    plan: FleetPlan
    nodes: dict[str, StartedNode]

    @property
    def gateway_node(self) -> StartedNode:
        """The one node that may talk to the engines."""
        assert self.plan.gateway
        return self.nodes[self.plan.gateway.node]

    @property
    def gateway(self) -> Candidate:
        """The fleet's own."""
        plan = self.plan.gateway
        assert plan
        return Candidate("agentfleet", f"{plan.address}:{plan.port}", f"{plan.run_folder}/pid")

    @property
    def servers(self) -> dict[str, str]:
        """Replicas by name."""
        assert self.plan.gateway
        [pool] = self.plan.gateway.pools
        return {replica.name: f"{replica.address}:{replica.port}" for replica in pool.replicas}

    @property
    def model(self) -> str:
        """The name that requests ask for."""
        assert self.plan.gateway
        return self.plan.gateway.pools[0].served_name

    def counters(self) -> PrefixCounters:
        """vLLM's own."""
        pages = [
            self.gateway_node.sh(f"curl -fsS http://{server}/metrics") for server in self.servers.values()
        ]
        return PrefixCounters(
            queried=counted(pages, "vllm:prefix_cache_queries_total"),
            hit=counted(pages, "vllm:prefix_cache_hits_total"),
        )


@contextmanager
def vllm_fleet(kv_cache_memory: str, context_tokens: int) -> Iterator[VllmFleet]:
    """Stage 2 with caches and contexts of this size. The gateway's node has nginx and HAProxy beside the gateway."""
    with swept_lab_stack() as stack, Connections() as connections:
        plan = _plan(stack.name, kv_cache_memory, context_tokens)
        nodes = {
            node.name: stack.start(node.name, binds=dict(node.lab.binds)) for node in plan.nodes if node.lab
        }
        assert plan.gateway
        engines = [name for name in nodes if name != plan.gateway.node]
        with ThreadPoolExecutor(len(engines)) as pool:
            list(pool.map(lambda name: _converge_node(plan, nodes[name], name, connections), engines))
        _converge_node(plan, nodes[plan.gateway.node], plan.gateway.node, connections)
        install(nodes[plan.gateway.node])
        yield VllmFleet(stack, plan, nodes)


def _plan(name: str, kv_cache_memory: str, context_tokens: int) -> FleetPlan:
    text = SPEC.read_text()
    for key, value in (("name", name), ("context_tokens", str(context_tokens))):
        text = re.sub(rf"(?m)^(\s*{key}:) \S+", rf"\1 {value}", text, count=1)
    text = re.sub(r"kv_cache_memory: \w+", f"kv_cache_memory: {kv_cache_memory}", text)
    spec = parse(text, str(SPEC))
    return make_plan(spec, read_models(spec, Path()))


def _converge_node(plan: FleetPlan, node: StartedNode, name: str, connections: Connections) -> None:
    facts = node.facts
    address = Address(facts.address, facts.port, facts.user, facts.host_key, facts.identity_file, name)
    machine = Machine(name, connections.get(address), threading.RLock(), plan.name, lambda _: None)
    for service, state in render(plan)[name].items():
        if service != STORE:  # no agent keeps anything here
            converge(machine, Version(state, {"apiKey": API_KEY}))
