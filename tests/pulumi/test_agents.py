"""Agents that live on a fleet: LangGraph and CrewAI for real, on real vLLM behind the gateway, killed and resumed."""

from __future__ import annotations

import os

import pytest

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

SPEC = """
name: {name}
workload: {{topology: flat, agents: 4, workflows: 4, context_tokens: 2048}}
models:
  agent: {{config: tiny-llama, weights: {{generated: tiny-llama}}}}
pools:
  agents: {{model: agent, role: agent, replicas: 2, nodes: [node-2, node-3]}}
nodes: {{source: lab, lab: {{count: 3, kv_cache_memory: 64MiB}}}}
gateway: {{kind: nginx, node: node-1}}
"""


@pytest.fixture(scope="module")
def fleet(fleet_stack: Stack) -> Stack:
    """Two replicas behind the gateway, and a store."""
    (fleet_stack.folder / "fleet.yaml").write_text(SPEC.format(name=fleet_stack.name))
    fleet_stack.up()
    machine(fleet_stack, "node-1").run(
        "apt-get -qq update && apt-get -qq install -y redis-server >/dev/null; "
        "printf 'bind 0.0.0.0\nprotected-mode no\n' >>/etc/redis/redis.conf; systemctl restart redis-server"
    )
    return fleet_stack


@pytest.fixture(scope="module")
def agents(fleet: Stack, tmp_path_factory: pytest.TempPathFactory) -> AgentHost:
    """This computer, which reaches the gateway and the store."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path_factory.mktemp("home")),
        "CREWAI_STORAGE_DIR": str(tmp_path_factory.mktemp("crewai")),
        "OPENAI_BASE_URL": fleet.outputs()["endpoint"],
        "OPENAI_API_KEY": "k" * 32,
        "REDIS_URL": f"redis://{machine(fleet, 'node-1').address}:6379",
    }
    return AgentHost(require_examples(), environment)


def test_a_killed_workflow_resumes_and_its_sessions_keep_their_replica_and_cache(
    fleet: Stack, agents: AgentHost
) -> None:
    before = prefix_caches(fleet)
    answers = killed_workflow_resumes(agents, "first")
    sessions_kept_their_cache(answers, before, prefix_caches(fleet))


def test_a_killed_flow_resumes_at_the_step_that_it_was_at(agents: AgentHost) -> None:
    killed_flow_resumes(agents, "second")


def prefix_caches(stack: Stack) -> dict[str, PrefixCache]:
    """By replica, as its engine counts."""
    return {
        f"agents-{index}": read_prefix_cache(
            machine(stack, f"node-{2 + index}").run(
                f"curl --silent http://{machine(stack, f'node-{2 + index}').address}:8000/metrics"
            )
        )
        for index in range(2)
    }


def machine(stack: Stack, node: str) -> Shell:
    """root's shell on that node of the fleet."""
    [facts] = [
        host["outputs"]["connection"] for host in stack.resources("Host") if host["outputs"]["name"] == node
    ]
    return Shell.of(facts)
