"""A fleet behind LiteLLM on the real engine: what outgrows its pool goes on in the pool for long sessions."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from infra.day_two.inventory import read_inventory
from support.pulumi_stacks import Stack
from support.readiness import require_litellm

KEY = "k" * 32
SPEC = """
name: {name}
workload:
  topology: flat
  agents: 2
  workflows: 2
  context_tokens: 256
  long_sessions: {{share: 0.25, context_tokens: 1024}}
models:
  agent: {{config: tiny-llama, weights: {{generated: tiny-llama}}}}
pools:
  agents: {{model: agent, role: agent, replicas: 1, nodes: [node-2]}}
  long: {{model: agent, role: long, replicas: 1, nodes: [node-3]}}
nodes: {{source: lab, lab: {{count: 3, kv_cache_memory: 64MiB}}}}
gateway: {{kind: litellm, node: node-1}}
"""


@pytest.fixture(autouse=True)
def litellm() -> None:
    require_litellm()


def ask(stack: Stack, words: int, *, stream: bool) -> tuple[str, str]:
    """The replica that answered, and the answer."""
    body = {
        "model": "agent",
        "messages": [{"role": "user", "content": "hello " * words}],
        "max_tokens": 8,
        "stream": stream,
    }
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "X-Session-Id": "mine"}
    url = f"{stack.outputs()['endpoint']}/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return answer.headers["X-Fleet-Replica"], answer.read().decode()


def test_a_session_outgrows_its_pool_and_goes_on(fleet_stack: Stack) -> None:
    (fleet_stack.folder / "fleet.yaml").write_text(SPEC.format(name=fleet_stack.name))
    fleet_stack.up()
    outputs: dict[str, Any] = fleet_stack.outputs()
    assert read_inventory(fleet_stack.name, outputs).units()["litellm"][0] == "node-1"
    for stream in (False, True):
        replica, text = ask(fleet_stack, 20, stream=stream)
        assert replica == "agents-0"
        assert text.rstrip().endswith("data: [DONE]") is stream
        replica, text = ask(fleet_stack, 400, stream=stream)
        assert replica == "long-0"
        assert text.rstrip().endswith("data: [DONE]") is stream
