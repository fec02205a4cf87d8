"""LiteLLM in front of the gateway, as the provider brings it to a lab node: the real LiteLLM, stand-in engines."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator

import pytest

from infra.plan.litellm import lab_program
from provisioning.converge.service import remove
from provisioning.ssh import Connections
from provisioning.ssh.address import Address
from support.gateway_lab import KEY, SECOND_KEY, machine_of
from support.lab_stacks import StartedNode, swept_lab_stack
from support.litellm_lab import LiteLlmGateway, litellm_plan
from support.readiness import require_litellm
from support.stand_in_engine import StandInEngine, running
from support.waiting import wait_until


@pytest.fixture(scope="module")
def node(lab_ready: None) -> Iterator[StartedNode]:  # noqa: ARG001 - to have it first
    require_litellm()
    with swept_lab_stack() as lab:
        yield lab.start("node-1", binds={lab_program().folder: "ready/litellm"})


@pytest.fixture(scope="module")
def engines(node: StartedNode) -> Iterator[list[StandInEngine]]:
    """Three for agents, one for long sessions, on the computer's side of the node's network."""
    with running(str(node.state.gateway.ip), 4) as engines:
        yield engines


@pytest.fixture(scope="module")
def running_gateway(node: StartedNode, engines: list[StandInEngine]) -> Iterator[LiteLlmGateway]:
    node.sh("apt-get -q update")
    facts = node.facts
    address = Address(facts.address, facts.port, facts.user, facts.host_key, facts.identity_file, "node-1")
    with Connections() as connections:
        machine = machine_of(node, connections.get(address))
        gateway = LiteLlmGateway(node, machine, engines, litellm_plan(facts.address, engines))
        gateway.deploy()
        yield gateway
        gateway.clients.shutdown(wait=False, cancel_futures=True)


@pytest.fixture
def gateway(running_gateway: LiteLlmGateway) -> LiteLlmGateway:
    """Before four engines of which nothing is remembered."""
    running_gateway.start_afresh(litellm_plan(running_gateway.plan.address, running_gateway.engines))
    return running_gateway


def chat(words: str = "hello") -> dict[str, object]:
    """The body of a chat request, whose model the gateway's own tests call tiny."""
    return {"messages": [{"role": "user", "content": words}]}


def test_a_stream_comes_through_part_by_part_with_its_session(gateway: LiteLlmGateway) -> None:
    client, answer = gateway.begin("mine", stream=True, hold=True, **chat())
    assert answer.headers["content-type"].startswith("text/event-stream")
    first = json.loads(answer.readline().removeprefix(b"data: "))
    assert first["choices"][0]["delta"]["content"] == "one"
    engine = next(engine for engine in gateway.engines if engine.held)
    assert engine.asked[-1].headers["x-agentfleet-session"] == "mine"
    engine.release()
    rest = answer.read().decode()
    assert '" two"' in rest
    assert rest.strip().endswith("data: [DONE]")
    client.close()


def test_a_client_that_goes_away_frees_its_replica(gateway: LiteLlmGateway) -> None:
    client, answer = gateway.begin("mine", stream=True, hold=True, **chat())
    engine = gateway.engine_of(answer.headers["x-fleet-replica"])
    answer.readline()
    answer.close()  # which holds the connection, since that ends with the answer
    client.close()
    engine.wait_until_cancelled(1)


def test_every_session_stays_where_the_gateway_put_it_and_all_replicas_have_some(
    gateway: LiteLlmGateway,
) -> None:
    turns = {
        f"session-{number}": {gateway.ask(f"session-{number}", **chat()).replica for _ in range(4)}
        for number in range(12)
    }
    assert all(len(replicas) == 1 for replicas in turns.values()), turns
    assert {name for replicas in turns.values() for name in replicas} == {"agents-0", "agents-1", "agents-2"}
    assert sum(replica["requests"] for replica in gateway.replicas().values()) == 48


@pytest.mark.parametrize(
    ("key", "headers", "session"),
    [
        (KEY, {"Cookie": "a=b; agentfleet_session=from-a-cookie"}, "from-a-cookie"),
        (SECOND_KEY, {}, "second"),
        (SECOND_KEY, {"X-Agentfleet-Session": "forged"}, "second"),
    ],
    ids=["a cookie", "a client's own key", "no header of the inside"],
)
def test_what_else_tells_a_session_reaches_the_gateway(
    gateway: LiteLlmGateway, key: str, headers: dict[str, str], session: str
) -> None:
    assert gateway.ask(key=key, headers=headers, **chat()).status == 200
    [asked] = [asked for engine in gateway.engines for asked in engine.asked]
    assert asked.headers["x-agentfleet-session"] == session
    assert asked.headers["authorization"] == f"Bearer {KEY}"


def test_a_key_is_asked_for_and_only_models_are_behind_the_door(gateway: LiteLlmGateway) -> None:
    assert gateway.ask(key="another", **chat()).error["code"] == "invalid_api_key"
    for path in ("/", "/ui", "/docs", "/model/new", "/key/generate", "/health/liveliness", "/v1/files"):
        assert gateway.ask(path=path, **chat()).status == 404, path
    assert gateway.ask(path="/health", method="GET", key="none").status == 200
    listed = json.loads(gateway.ask(path="/v1/models", method="GET").body)
    assert [model["id"] for model in listed["data"]] == ["tiny", "pools/long"]
    assert not any(engine.asked for engine in gateway.engines)


def test_a_replica_that_is_rotated_out_finishes_its_stream_and_gets_no_more(gateway: LiteLlmGateway) -> None:
    client, answer = gateway.begin("mine", stream=True, hold=True, **chat())
    replica = answer.headers["x-fleet-replica"]
    gateway.rotate("out", replica, "update")
    assert gateway.rotate("in-flight", replica) == "1"
    elsewhere = gateway.ask("mine", **chat()).replica
    assert elsewhere != replica
    gateway.engine_of(replica).release()
    assert answer.read().decode().strip().endswith("data: [DONE]")
    client.close()
    assert gateway.rotate("in-flight", replica) == "0"
    engine = gateway.engine_of(replica)
    gateway.rotate("in", replica, f"{engine.address}:{engine.port}", "update")
    assert {gateway.ask(f"other-{number}", **chat()).replica for number in range(20)} >= {replica}


@pytest.mark.parametrize("stream", [False, True])
def test_a_session_that_has_outgrown_its_pool_goes_on_in_the_pool_for_long_ones(
    gateway: LiteLlmGateway, stream: bool
) -> None:
    for engine in gateway.engines[:3]:
        engine.context_is_short = True
    answers = [gateway.ask("mine", stream=stream, **chat()) for _ in range(2)]
    assert [(answer.status, answer.replica) for answer in answers] == [(200, "long-3")] * 2
    assert len(gateway.engines[3].asked) == 2
    assert all(asked.headers["x-agentfleet-session"] == "mine" for asked in gateway.engines[3].asked)


def test_what_a_replica_has_got_is_never_sent_again(gateway: LiteLlmGateway) -> None:
    answer = gateway.ask("mine", drop=True, headers={"x-litellm-num-retries": "3"}, **chat())
    assert answer.status >= 500
    assert sum(len(engine.asked) for engine in gateway.engines) == 1


def test_a_stream_whose_replica_dies_ends_with_an_error(gateway: LiteLlmGateway) -> None:
    client, answer = gateway.begin("mine", stream=True, hold=True, **chat())
    answer.readline()
    gateway.engine_of(answer.headers["x-fleet-replica"]).kill()
    rest = answer.read().decode()
    client.close()
    assert '"error"' in rest
    assert '"finish_reason":"stop"' not in rest


def test_a_changed_setting_is_taken_over_while_streams_go_on(gateway: LiteLlmGateway) -> None:
    client, answer = gateway.begin("mine", stream=True, hold=True, **chat())
    gateway.deploy(request_limit_bytes=1000)
    large = chat("x" * 2000)
    wait_until(lambda: gateway.ask("other", **large).status == 413, "a worker that has the new limit")
    gateway.engine_of(answer.headers["x-fleet-replica"]).release()
    assert answer.read().decode().strip().endswith("data: [DONE]")
    client.close()


def test_a_restart_refuses_nobody(gateway: LiteLlmGateway) -> None:
    over = threading.Event()

    def keep_asking(session: str) -> set[int]:
        answers = {gateway.ask(session, **chat()).status}
        while not over.is_set():
            answers.add(gateway.ask(session, **chat()).status)
        return answers

    asking = [gateway.clients.submit(keep_asking, f"session-{number}") for number in range(4)]
    gateway.node.sh(f"systemctl restart {gateway.litellm.unit}")
    gateway.ask("after it", **chat())
    over.set()
    assert [answers.result() for answers in asking] == [{200}] * 4


def test_it_is_reached_at_its_own_port_alone(gateway: LiteLlmGateway) -> None:
    listening = gateway.node.sh(f"ss -Hltn 'sport = :{gateway.litellm.inner_port}'").split()
    assert [word for word in listening if word.startswith(("127.", "0.", "*"))][:1] == [
        f"127.0.0.1:{gateway.litellm.inner_port}"
    ]


def test_a_second_deployment_changes_nothing_and_a_removal_leaves_nothing(gateway: LiteLlmGateway) -> None:
    asking = f"systemctl show -p InvocationID -p ExecMainPID {gateway.litellm.unit}; pgrep -f spawn_main"
    before = gateway.node.sh(asking)
    gateway.deploy()
    assert gateway.node.sh(asking) == before
    remove(gateway.machine, "litellm")
    unit = gateway.litellm.unit
    found = gateway.node.sh(
        f"find / -xdev -name '*{unit}*' -not -path '/proc/*'; ls -d {gateway.litellm.folder} || :"
    )
    assert found == ""
    assert gateway.node.try_sh("pgrep -f serve.py").returncode == 1
    gateway.plan = dataclasses.replace(gateway.plan, port=0)  # so that the next test brings it again
