"""Agents that live on a fleet: LangGraph and CrewAI for real, on real vLLM behind the gateway, killed and resumed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from provisioning import lab
from provisioning.converge.data import VARIABLE
from support.agents import (
    AgentHost,
    PrefixCache,
    killed_flow_resumes,
    killed_workflow_resumes,
    read_prefix_cache,
    sessions_kept_their_cache,
)
from support.pulumi_stacks import Stack
from support.readiness import require_examples
from support.shell import Shell
from support.state_secrets import STATE_SECRETS
from tools.stack.agents import write_agents_env
from tools.stack.completion import Endpoint, ask
from tools.stack.errors import StackError
from tools.stack.pulumi import Pulumi
from tools.stack.trust import fleet_context

SPEC = """
name: {name}
workload: {{topology: flat, agents: 4, workflows: 4, context_tokens: 2048}}
models:
  agent: {{config: tiny-llama, weights: {{generated: tiny-llama}}}}
pools:
  agents: {{model: agent, role: agent, replicas: 2, nodes: [node-2, node-3]}}
nodes: {{source: lab, lab: {{count: 3, kv_cache_memory: 64MiB}}}}
gateway: {{kind: nginx, node: node-1, tls: {{kind: generated}}}}
state: {{kind: redis, node: node-1, maxmemory: 64MiB}}
"""
REPLICAS = {"agents-0": "node-2", "agents-1": "node-3"}


@pytest.fixture(scope="module")
def python() -> Path:
    """Asked for first, so that nothing is brought up in vain."""
    return require_examples()


@pytest.fixture(scope="module")
def fleet(python: Path, fleet_stack: Stack) -> Iterator[Stack]:  # noqa: ARG001
    """Two replicas behind the gateway, and the store; the store's data goes with it, as the operator's word says."""
    (fleet_stack.folder / "fleet.yaml").write_text(SPEC.format(name=fleet_stack.name))
    for name, value in STATE_SECRETS.items():
        pulumi(fleet_stack).keep_secret(name, value)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, fleet_stack.name)
        fleet_stack.up()
        yield fleet_stack
        fleet_stack.destroy()


@pytest.fixture(scope="module")
def agents(python: Path, fleet: Stack, tmp_path_factory: pytest.TempPathFactory) -> AgentHost:
    """This computer, with what `make env` writes and nothing else."""
    folder = tmp_path_factory.mktemp("agents")
    text = write_agents_env(pulumi(fleet), folder).read_text()
    settings = dict(word.split("=", 1) for word in shlex.split(text, comments=True))
    return AgentHost(python, {"PATH": os.environ["PATH"], "HOME": str(folder), **settings})


def test_a_killed_workflow_resumes_and_its_sessions_keep_their_replica_and_cache(
    fleet: Stack, agents: AgentHost
) -> None:
    before = prefix_caches(fleet)
    answers = killed_workflow_resumes(agents, "first")
    sessions_kept_their_cache(answers, before, prefix_caches(fleet))


def test_a_killed_flow_resumes_at_the_step_that_it_was_at(agents: AgentHost) -> None:
    killed_flow_resumes(agents, "second")


def test_who_asks_after_up_checks_the_gateways_certificate(fleet: Stack) -> None:
    stack = pulumi(fleet)
    outputs = stack.outputs()
    endpoint = Endpoint(outputs["endpoint"], stack.setting("apiKey"), fleet_context(stack, outputs))
    assert ask(endpoint).model == "agent"
    with pytest.raises(StackError, match="shows a certificate that is not trusted here"):
        ask(replace(endpoint, trust=None))
    status = fleet.fleet("status")
    assert status.returncode == 0, status.stdout


def test_a_refresh_finds_every_certificate_as_it_was_made(fleet: Stack) -> None:
    fleet.run("refresh", "--yes", "--expect-no-changes", "--non-interactive")


def pulumi(stack: Stack) -> Pulumi:
    """The stack as `make` sees it."""
    return Pulumi(stack.folder, stack.name, stack.environment)


def prefix_caches(stack: Stack) -> dict[str, PrefixCache]:
    """By replica, as its engine counts; asked on its own node, because the firewall lets only the gateway in."""
    shells = {name: machine(stack, node) for name, node in REPLICAS.items()}
    return {
        name: read_prefix_cache(shell.run(f"curl --silent --fail http://{shell.address}:8000/metrics"))
        for name, shell in shells.items()
    }


def machine(stack: Stack, node: str) -> Shell:
    """root's shell on that node of the fleet."""
    [state] = [state for state in lab.nodes_of(stack.name) if state.name == node]
    facts = lab.read(state)
    assert facts
    return Shell.of(facts)
