"""What stands on a node with LiteLLM before the gateway, and what its door lets through."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from types import ModuleType
from typing import Any

import pytest
import yaml
from plan_specs import LAB, host, plan, rented

from infra.plan import FleetPlan
from infra.plan.guards import guards_on
from infra.render import render
from provisioning.state import OnChange, ServiceState
from support.traces import ROOT

LITELLM = {"kind": "litellm", "node": "node-2"}
TWO_NODES = {"source": "lab", "lab": {"count": 2}}
LONG: dict[str, Any] = {
    "workload": {
        "topology": "flat",
        "agents": 4,
        "workflows": 2,
        "context_tokens": 1024,
        "long_sessions": {"share": 0.1, "context_tokens": 2048},
    },
    "pools": {
        "grown": {"model": "agent", "role": "long", "nodes": ["node-1"], "port": 8100},
        "agents": {"model": "agent", "role": "agent", "nodes": ["node-1"], "port": 8000},
    },
}
FOLDER = f"/etc/agentfleet/{LAB['name']}/litellm"
UNIT = f"/etc/systemd/system/agentfleet-{LAB['name']}-litellm.service"


def planned(gateway: dict[str, Any] | None = None, **parts: Any) -> FleetPlan:
    return plan(LAB, **{"gateway": {**LITELLM, **(gateway or {})}, "nodes": TWO_NODES, **parts})


def services(gateway: dict[str, Any] | None = None, **parts: Any) -> dict[str, ServiceState]:
    return render(planned(gateway, **parts))["node-2"]


def config(**parts: Any) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(services(**parts)["litellm"].files[f"{FOLDER}/config.yaml"].text)
    return read


def test_clients_meet_litellm_and_the_gateway_is_on_loopback() -> None:
    made = planned({"port": 9000})
    assert made.endpoint.endswith(":9000/v1")
    assert list(render(made)["node-2"]) == ["firewall", "gateway", "litellm"]
    conf = render(made)["node-2"]["gateway"].files[f"/etc/agentfleet/{made.name}/gateway/nginx.conf"].text
    assert "listen 127.0.0.1:19000 backlog" in conf
    node = next(node for node in made.nodes if node.name == "node-2")
    assert [port for guard in guards_on(made, node) for port in guard.ports] == [9000]


def test_each_pool_is_one_deployment_of_the_gateway_and_nothing_is_generated_twice() -> None:
    found = config(**LONG)
    assert {item["model_name"]: item["litellm_params"]["api_base"] for item in found["model_list"]} == {
        "agent": "http://127.0.0.1:18080/pools/agents/v1",
        "pools/grown": "http://127.0.0.1:18080/pools/grown/v1",
    }
    assert {item["litellm_params"]["max_retries"] for item in found["model_list"]} == {0}
    assert (found["router_settings"]["num_retries"], found["litellm_settings"]["num_retries"]) == (0, 0)
    assert found["router_settings"]["disable_cooldowns"] is True


def test_what_outgrows_its_pool_goes_to_the_pool_for_long_sessions_where_there_is_one() -> None:
    assert config(**LONG)["router_settings"]["context_window_fallbacks"] == [{"agent": ["pools/grown"]}]
    assert "context_window_fallbacks" not in config()["router_settings"]


def test_secrets_stand_in_files_of_roots_alone() -> None:
    files = services({"client_key_configs": ["second"]})["litellm"].files
    holding = {path: file.mode for path, file in files.items() if file.secrets}
    assert holding == {f"{FOLDER}/keys": "0600", f"{FOLDER}/ready.header": "0600"}
    assert files[f"{FOLDER}/keys"].secrets == {"apiKey", "second"}


def test_what_is_served_is_reloaded_and_what_runs_is_restarted() -> None:
    files = services()["litellm"].files
    restarting = {path for path, file in files.items() if file.on_change is OnChange.RESTART}
    assert restarting == {UNIT, *(f"{FOLDER}/{name}" for name in ("serve.py", "keys", "litellm.env"))}


@pytest.mark.parametrize("change", [{"port": 9000}, {"tls": {"kind": "generated"}}])
def test_what_a_reload_cannot_take_over_changes_the_unit(change: dict[str, Any]) -> None:
    assert services(change)["litellm"].files[UNIT].text != services()["litellm"].files[UNIT].text


def test_lab_nodes_are_given_its_packages_and_others_install_a_locked_set() -> None:
    given = planned()
    folder = "/opt/agentfleet/programs/litellm-1.106.2"
    assert given.nodes[1].lab
    assert given.nodes[1].lab.binds[folder] == "ready/litellm"
    assert not services()["litellm"].artifacts
    hosts = [host("gpu-1"), host("gate", "cpu", 1)]
    made = rented(
        *hosts,
        gateway={"kind": "litellm", "node": "gate"},
        pools={"agents": {"model": "agent", "role": "agent", "nodes": ["gpu-1"]}},
    )
    [(where, artifact)] = render(made)["gate"]["litellm"].artifacts.items()
    assert where.startswith(folder)
    assert artifact.uploads["requirements.lock"].startswith("infra/catalog/programs/litellm-")
    assert 'test -x "$DESTINATION/bin/litellm"' in artifact.script


def edge() -> ModuleType:
    path = ROOT / "templates" / "litellm" / "program" / "edge.py"
    spec = importlib.util.spec_from_file_location("edge", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def through_the_door(
    path: str = "/v1/chat/completions", keys: int = 2, **headers: str
) -> tuple[int, dict[str, str]]:
    """The status, and the headers that LiteLLM was given: none where it was not asked."""
    seen: dict[str, str] = {}
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, _receive: Any, send: Any) -> None:
        seen.update({name.decode(): value.decode() for name, value in scope["headers"]})
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> dict[str, Any]:
        return {}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def health() -> tuple[int, bytes]:
        return 503, b"{}"

    settings = {"session_header": "Agent-Session", "session_cookie": "agent", "request_limit_bytes": 100}
    clients = dict(list({"apiKey": "one", "second": "two"}.items())[:keys])
    usual = {"authorization": "Bearer two" if keys > 1 else "Bearer one", "content-length": "100"}
    given = {**usual, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }
    asyncio.run(edge().Edge(app, settings, clients, "own", health)(scope, receive, send))
    assert (b"connection", b"close") in sent[0]["headers"]
    return sent[0]["status"], seen


@pytest.mark.parametrize(
    ("headers", "keys", "session"),
    [
        ({"agent_session": "a"}, 2, "a"),
        ({"agent_session": "a", "cookie": "agent=b"}, 2, "a"),
        ({"cookie": "x=y; agent=b"}, 2, "b"),
        ({}, 2, "second"),
        ({}, 1, None),
        ({"x_agentfleet_session": "forged"}, 1, None),
    ],
)
def test_the_gateway_is_told_the_session_by_one_header(
    headers: dict[str, str], keys: int, session: str | None
) -> None:
    status, seen = through_the_door(keys=keys, **headers)
    assert (status, seen.get("x-agentfleet-session")) == (200, session)
    assert seen["authorization"] == "Bearer own"
    assert "agent-session" not in seen


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"authorization": "Bearer three"}, 401),
        ({"authorization": "Basic two"}, 401),
        ({"authorization": "", "x_api_key": "two"}, 200),
        ({"path": "/key/generate"}, 404),
        ({"path": "/v1/models/"}, 404),
        ({"content_length": "101"}, 413),
        ({"content_length": "many"}, 411),
        ({"path": "/health", "authorization": ""}, 503),
    ],
)
def test_only_clients_with_a_key_get_in_and_only_to_models(asked: dict[str, str], status: int) -> None:
    found, seen = through_the_door(**asked)
    assert found == status
    assert bool(seen) is (status == 200)


def test_no_client_steers_litellm_by_headers() -> None:
    _, seen = through_the_door(x_litellm_num_retries="5", x_request_id="r", user_agent="u")
    assert set(seen) == {
        "content-length",
        "x-request-id",
        "user-agent",
        "authorization",
        "x-agentfleet-session",
    }


def test_the_settings_are_the_specs() -> None:
    gateway = {"session_header": "Agent-Session", "request_limit": "1MiB", "drain_timeout_s": 30}
    settings = json.loads(services(gateway)["litellm"].files[f"{FOLDER}/settings.json"].text)
    assert settings["session_header"] == "Agent-Session"
    assert (settings["request_limit_bytes"], settings["drain_timeout_s"]) == (1 << 20, 30)
