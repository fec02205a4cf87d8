"""The rendered gateway as the provider brings it to a lab node: the distribution's nginx, our Lua, stand-in engines."""

from __future__ import annotations

import dataclasses
import http.client
import json
import math
import os
import shlex
import socket
import ssl
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from infra.affinity import build_ring, session_keys
from infra.plan.authority import CA_SECRET
from infra.plan.fleet_plan import FleetPlan
from infra.plan.gateway import TlsPlan
from infra.render.agents_env import agents_env
from infra.spec.kinds import TlsKind
from provisioning.converge.service import converge, remove_all
from provisioning.errors import RolledBack, Unfinished
from provisioning.ssh import Connections
from provisioning.ssh.address import Address
from support.gateway_lab import CHAT, FLEET, KEY, SECOND_KEY, Answer, Gateway, gateway_plan, machine_of, pool
from support.lab_stacks import StartedNode, swept_lab_stack
from support.readiness import require_examples
from support.snapshots import differences, snapshot_of
from support.stand_in_engine import StandInEngine, running
from support.stand_in_stack import StandIn
from support.state_agents import QUIET
from support.waiting import wait_until
from tools.stack.agents import write_agents_env
from tools.stack.generated import new_secret

GENERATED = TlsPlan(kind=TlsKind.GENERATED)


@pytest.fixture(scope="module")
def node(lab_ready: None) -> Iterator[StartedNode]:  # noqa: ARG001 - to have it first
    with swept_lab_stack() as lab:
        yield lab.start("node-1")


@pytest.fixture(scope="module")
def engines(node: StartedNode) -> Iterator[list[StandInEngine]]:
    """Three, on the computer's side of the node's network."""
    with running(str(node.state.gateway.ip), 3) as engines:
        yield engines


@pytest.fixture(scope="module")
def bare(node: StartedNode, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the node held before the gateway came."""
    node.sh("apt-get -q update")
    return snapshot_of(node.shell, tmp_path_factory.mktemp("bare") / "before.json")


@pytest.fixture(scope="module")
def running_gateway(
    node: StartedNode,
    engines: list[StandInEngine],
    bare: Path,  # noqa: ARG001 - to have it first
) -> Iterator[Gateway]:
    facts = node.facts
    address = Address(facts.address, facts.port, facts.user, facts.host_key, facts.identity_file, "node-1")
    with Connections() as connections:
        machine = machine_of(node, connections.get(address))
        gateway = Gateway(node, machine, engines, gateway_plan(facts.address, engines))
        gateway.deploy()
        yield gateway
        gateway.clients.shutdown(wait=False, cancel_futures=True)


@pytest.fixture
def gateway(running_gateway: Gateway) -> Gateway:
    """Freshly started, before three engines of which nothing is remembered."""
    running_gateway.start_afresh(gateway_plan(running_gateway.plan.address, running_gateway.engines))
    return running_gateway


def addresses(gateway: Gateway) -> dict[str, str]:
    """Address of a replica to its name."""
    replicas = gateway.plan.pools[0].replicas
    return {f"{replica.address}:{replica.port}": replica.name for replica in replicas}


def first_turns(gateway: Gateway, count: int) -> dict[str, str]:
    """So many new sessions, one after another: the replica of each."""
    return {session: gateway.ask(session).replica for session in session_keys(count)}


def settled(gateway: Gateway) -> bool:
    """Whether nothing is in flight by the gateway's own count."""
    return all(replica["in_flight"] == 0 for replica in gateway.replicas().values())


# Affinity


def test_a_session_without_a_bound_goes_where_nginx_own_ring_points(gateway: Gateway) -> None:
    gateway.deploy(load_factor=None)
    names = addresses(gateway)
    ring = build_ring(dict.fromkeys(names, 1))
    keys = list(session_keys(1000))
    found = dict(zip(keys, gateway.clients.map(lambda key: gateway.ask(key).replica, keys), strict=True))
    assert found == {key: names[ring.server_of(key)] for key in keys}
    shares = dict(zip(names.values(), ring.shares(), strict=True))
    for name, replica in gateway.replicas().items():
        assert replica["ring_share"] == pytest.approx(shares[name])


def test_follow_up_turns_stay_with_the_first_one(gateway: Gateway) -> None:
    placed = first_turns(gateway, 40)
    for _ in range(3):
        assert {session: gateway.ask(session).replica for session in placed} == placed
    status = gateway.replicas()
    assert sum(replica["new"] for replica in status.values()) == 40
    assert sum(replica["home"] + replica["kept"] for replica in status.values()) == 120


def test_new_sessions_are_bounded_by_the_load_factor(gateway: Gateway) -> None:
    counts = Counter(first_turns(gateway, 60).values())
    assert max(counts.values()) <= math.ceil(1.25 * 60 / 3)
    assert {name: replica["sessions"] for name, replica in gateway.replicas().items()} == counts


@pytest.mark.parametrize(
    "headers", [{"Cookie": "agentfleet_session=someone"}, {"Authorization": f"Bearer {SECOND_KEY}"}]
)
def test_cookie_and_client_key_name_a_session_where_the_header_is_missing(
    gateway: Gateway, headers: dict[str, str]
) -> None:
    gateway.deploy(client_keys=("second",))
    assert len({gateway.ask(headers=headers).replica for _ in range(6)}) == 1
    assert sum(replica["sessions"] for replica in gateway.replicas().values()) == 1


def test_requests_of_nobody_go_to_the_replica_with_the_fewest_in_flight_and_are_counted(
    gateway: Gateway,
) -> None:
    held = [gateway.hold() for _ in range(3)]
    for engine in gateway.engines:
        engine.wait_until_held(1)
    gateway.engines[1].release()
    wait_until(lambda: gateway.replicas()["agents-1"]["in_flight"] == 0, "one answer is finished")
    assert gateway.ask().replica == "agents-1"
    let_go(gateway, held)
    wait_until(lambda: settled(gateway), "nothing is in flight")
    assert sum(replica["keyless"] for replica in gateway.replicas().values()) == 4
    assert 'affinity="none"' in metrics(gateway)


def test_a_congested_replica_spills_and_its_sessions_come_back_when_the_other_one_is_congested(
    gateway: Gateway,
) -> None:
    gateway.deploy(pools=(pool("agents", gateway.engines, max_num_seqs=1),), load_factor=3)
    home = gateway.ask("hot").replica
    engine = gateway.engine_of(home)
    busy = [gateway.hold("hot")]
    engine.wait_until_held(1)
    assert gateway.ask("hot").replica == home, "its cache is worth waiting for"
    busy.append(gateway.hold("hot"))
    engine.wait_until_held(2)
    other = gateway.ask("hot").replica
    assert other != home
    assert gateway.ask("hot").replica == other, "it is remembered there"
    let_go(gateway, busy)
    busy = [gateway.hold("hot"), gateway.hold("hot")]
    gateway.engine_of(other).wait_until_held(2)
    assert gateway.ask("hot").replica == home
    let_go(gateway, busy)
    status = gateway.replicas()
    assert (status[other]["spilled"], status[home]["spilled"]) == (1, 1)
    assert sum(replica["sessions"] for replica in status.values()) == 1


def test_a_silent_session_is_forgotten_and_one_that_speaks_is_not(gateway: Gateway) -> None:
    gateway.deploy(session_idle_s=2)
    first_turns(gateway, 20)

    def only_the_speaker_is_left() -> bool:
        gateway.ask("speaker")
        return sum(replica["sessions"] for replica in gateway.replicas().values()) == 1

    wait_until(only_the_speaker_is_left, "20 silent sessions are forgotten")
    assert sum(replica["new"] for replica in gateway.replicas().values()) == 21


# The ring under change


def test_a_replica_rotated_out_gets_nothing_new_at_once_finishes_what_it_has_and_stays_out_over_a_restart(
    gateway: Gateway,
) -> None:
    placed = first_turns(gateway, 12)
    leaving = placed[next(iter(placed))]
    stream = gateway.hold(next(iter(placed)), stream=True)
    gateway.engine_of(leaving).wait_until_held(1)
    gateway.rotate("out", leaving)
    assert gateway.rotate("in-flight", leaving) == "1"
    moved = {session: gateway.ask(session).replica for session in placed}
    assert leaving not in moved.values()
    assert {s: r for s, r in moved.items() if placed[s] != leaving} == {
        s: r for s, r in placed.items() if r != leaving
    }
    gateway.engine_of(leaving).release()
    assert stream.result(30).body.endswith(b"[DONE]\n\n")
    wait_until(lambda: gateway.rotate("in-flight", leaving) == "0", "the stream is finished")
    gateway.node.sh(f"systemctl restart {gateway.plan.unit}")
    assert gateway.replicas()[leaving]["ring"] == "out"
    gateway.rotate("in", leaving, gateway.replicas()[leaving]["address"])
    assert gateway.replicas()[leaving]["ring"] == "in"


def test_after_each_replica_was_out_in_turn_none_is_overfull_with_sessions_that_could_go_home(
    gateway: Gateway,
) -> None:
    names = addresses(gateway)
    ring = build_ring(dict.fromkeys(names, 1))
    sessions = list(first_turns(gateway, 48))
    for replica in names.values():
        gateway.rotate("out", replica)
        for session in sessions:
            gateway.ask(session)
        gateway.rotate("in", replica, gateway.replicas()[replica]["address"])
    for _ in range(2):
        placed = {session: gateway.ask(session).replica for session in sessions}
    counts, most = Counter(placed.values()), math.ceil(1.25 * 48 / 3)
    assert set(counts) == set(names.values()), "the last one that was out has sessions again"
    for name in names.values():
        assert counts[name] >= most or all(
            counts[replica] <= most
            for session, replica in placed.items()
            if replica != name and names[ring.server_of(session)] == name
        ), counts


def test_a_replica_that_comes_in_at_a_new_address_answers_there_before_and_after_the_pools_know_it(
    gateway: Gateway,
) -> None:
    old = gateway.plan.pools[0]
    here = gateway.engines[0].address
    gateway.rotate("out", "agents-2")
    with running(here, 1) as (moved,):
        gateway.rotate("in", "agents-2", f"{here}:{moved.port}")
        assert gateway.replicas()["agents-2"]["address"] == f"{here}:{moved.port}"
        gateway.node.sh(f"systemctl reload {gateway.plan.unit}")
        wait_until(lambda: gateway.replicas()["agents-2"]["healthy"], "it is looked at where it is")
        before = first_turns(gateway, 20)
        assert len(moved.asked) > 0
        replicas = (*old.replicas[:2], dataclasses.replace(old.replicas[2], port=moved.port))
        gateway.deploy(pools=(dataclasses.replace(old, replicas=replicas),))
        asked = len(moved.asked)
        assert first_turns(gateway, 20) == before
        assert len(moved.asked) > asked
        assert len(gateway.engines[2].asked) == 0


def test_a_replica_that_left_the_pools_is_known_until_its_requests_are_finished(gateway: Gateway) -> None:
    session = next(s for s, replica in first_turns(gateway, 30).items() if replica == "agents-2")
    stream = gateway.hold(session, stream=True)
    gateway.engines[2].wait_until_held(1)
    gateway.deploy(pools=(pool("agents", gateway.engines[:2]),))
    wait_until(lambda: set(gateway.replicas()) == {"agents-0", "agents-1"}, "the smaller pool is loaded")
    gateway.rotate("out", "agents-2")
    assert gateway.rotate("in-flight", "agents-2") == "1"
    gateway.engines[2].release()
    assert stream.result(30).body.endswith(b"[DONE]\n\n")
    rotate = f"{gateway.plan.folder}/rotate in-flight agents-2"
    wait_until(lambda: gateway.node.try_sh(rotate).returncode == 3, "it is forgotten")


def test_whom_an_operator_took_out_only_an_operator_brings_back(gateway: Gateway) -> None:
    here = gateway.replicas()["agents-0"]["address"]
    rounds = (
        (("out", "agents-0", "update"), ("out", "update")),
        (("out", "agents-0", "operator"), ("out", "operator")),
        (("out", "agents-0", "update"), ("out", "operator")),
        (("in", "agents-0", here, "update"), ("out", "operator")),
        (("in", "agents-0", here, "operator"), ("in", None)),
        (("out", "agents-0", "update"), ("out", "update")),
        (("in", "agents-0", "198.51.100.1:1", "update"), ("in", None)),
        (("in", "agents-0", here, "update"), ("in", None)),
    )
    for words, expected in rounds:
        gateway.rotate(*words)
        found = gateway.replicas()["agents-0"]
        assert (found["ring"], found["out_by"]) == expected, words


def test_rotate_has_nothing_to_drain_where_no_gateway_runs_and_what_is_in_stays_in(gateway: Gateway) -> None:
    rotate = f"{gateway.plan.folder}/rotate"
    gateway.rotate("out", "agents-0", "update")
    gateway.rotate("out", "agents-1", "operator")
    gateway.node.sh(f"systemctl stop {gateway.plan.unit}")
    assert gateway.node.try_sh(f"{rotate} out agents-2 update").returncode == 3
    for name in ("agents-0", "agents-1"):
        back = f"{rotate} in {name} {gateway.engines[0].address}:1 update"
        assert gateway.node.try_sh(back).returncode == 3
    gateway.node.sh(f"systemctl start {gateway.plan.unit}")
    status = gateway.replicas()
    assert (status["agents-0"]["ring"], status["agents-1"]["out_by"]) == ("in", "operator")
    assert gateway.node.try_sh(f"{rotate} out nobody").returncode == 3
    assert gateway.node.try_sh(f"{rotate} sideways").returncode == 2


# Streams and failures


def test_the_first_part_of_a_stream_arrives_before_the_engine_sends_the_second(gateway: Gateway) -> None:
    client, answer = gateway.begin("streaming", stream=True, hold=True)
    assert answer.readline() == b'data: {"choices": [{"delta": {"content": "one"}}]}\n'
    engine = gateway.engine_of(str(answer.getheader("X-Fleet-Replica")))
    engine.wait_until_held(1)
    engine.release()
    assert answer.read().endswith(b"[DONE]\n\n")
    client.close()


def test_a_client_that_goes_away_is_told_to_the_engine(gateway: Gateway) -> None:
    client, answer = gateway.begin("leaving", stream=True, hold=True)
    engine = gateway.engine_of(str(answer.getheader("X-Fleet-Replica")))
    engine.wait_until_held(1)
    answer.close()
    client.close()
    engine.wait_until_cancelled(1)
    wait_until(lambda: settled(gateway), "nothing is in flight")


def test_a_killed_replica_fails_what_it_had_alone_and_returns(gateway: Gateway) -> None:
    placed = first_turns(gateway, 12)
    dying = next(iter(placed.values()))
    mine = [session for session, replica in placed.items() if replica == dying]
    stream, silent = gateway.hold(mine[0], stream=True), gateway.hold(mine[0])
    engine = gateway.engine_of(dying)
    engine.wait_until_held(2)
    engine.kill()
    with pytest.raises(http.client.IncompleteRead):
        stream.result(30)
    assert silent.result(30).error["code"] == "replica_failed"
    for session in placed:
        answer = gateway.ask(session)
        assert (answer.status, answer.replica == dying) == (200, False)
    assert gateway.replicas()[dying]["healthy"] is False
    engine.start()
    wait_until(lambda: bool(gateway.replicas()[dying]["healthy"]), "it is in use again")
    wait_until(lambda: settled(gateway), "nothing is in flight")
    assert dying in first_turns_of_others(gateway)


def test_what_an_engine_has_got_is_never_sent_to_another(gateway: Gateway) -> None:
    answer = gateway.ask("dropped", drop=True)
    assert (answer.status, answer.error["type"]) == (502, "server_error")
    assert sum(len(engine.asked) for engine in gateway.engines) == 1


def test_a_refused_connection_is_tried_elsewhere_without_the_client_seeing_it(gateway: Gateway) -> None:
    placed = first_turns(gateway, 6)
    for engine in gateway.engines[1:]:
        engine.kill()
    assert {gateway.ask(session).status for session in placed} == {200}
    gateway.engines[0].kill()
    answer = gateway.ask("anyone")
    assert answer.status in {502, 503}
    assert answer.error["type"] == "server_error"
    wait_until(lambda: gateway.ask(path="/health", method="GET").status == 503, "no replica is left")
    health = json.loads(gateway.ask(path="/health", method="GET", key="").body)
    assert health == {"status": "unavailable", "pools_without_replica": ["agents"]}
    assert gateway.ask("anyone").error["code"] == "no_replica"


def test_a_killed_worker_leaves_no_request_in_flight_behind(gateway: Gateway) -> None:
    held = [gateway.hold(session) for session in session_keys(6)]
    wait_until(lambda: sum(engine.held for engine in gateway.engines) == 6, "six requests are held")
    gateway.node.sh(f"pkill -KILL -P $(cat {gateway.plan.run_folder}/pid)")
    assert all(
        isinstance(request.exception(30), ConnectionError | http.client.HTTPException) for request in held
    )
    wait_until(lambda: settled(gateway), "the dead workers' requests are taken off")
    assert gateway.ask("after").status == 200
    wait_until(lambda: settled(gateway), "nothing is in flight")


def test_reloads_under_load_lose_nothing(gateway: Gateway) -> None:
    streams = [gateway.hold(session, stream=True) for session in session_keys(6)]
    wait_until(lambda: sum(engine.held for engine in gateway.engines) == 6, "six streams are held")
    asked = [gateway.clients.submit(gateway.ask, f"s{i % 50}", stream=i % 2 == 0) for i in range(2000)]
    for turn in range(5):
        gateway.deploy(session_idle_s=601 + turn)
    assert Counter(request.result(60).status for request in asked) == {200: 2000}
    assert all(request.result().body.endswith((b"[DONE]\n\n", b"}")) for request in asked)
    let_go(gateway, streams)
    assert all(stream.result(30).body.endswith(b"[DONE]\n\n") for stream in streams)
    wait_until(lambda: settled(gateway), "nothing is in flight")


# The edge


def test_errors_of_the_edge_have_the_shape_of_openai(gateway: Gateway) -> None:
    gateway.deploy(request_limit_bytes=1 << 20)
    cases = (
        (gateway.ask(key="wrong"), 401, "invalid_api_key"),
        (gateway.ask(path="/v1/models", method="GET", key="wrong"), 401, "invalid_api_key"),
        (gateway.ask(path="/metrics", method="GET"), 404, "not_found"),
        (gateway.ask(path="/status", method="GET"), 404, "not_found"),
        (gateway.ask(path="/pools/nobody/v1/completions"), 404, "pool_not_found"),
        (gateway.ask(padding="x" * (2 << 20)), 413, "request_too_large"),
    )
    for answer, status, code in cases:
        assert (answer.status, answer.error["code"]) == (status, code)
    assert all(not engine.asked for engine in gateway.engines)


def test_engines_get_their_own_key_and_the_client_any_of_its_own(gateway: Gateway) -> None:
    gateway.deploy(client_keys=("second",))
    assert gateway.ask("one", key=SECOND_KEY).status == 200
    sent = [asked.headers["authorization"] for engine in gateway.engines for asked in engine.asked]
    assert sent == [f"Bearer {KEY}"]
    assert access_log(gateway, '"session":"one"')["client"] == "second"


def test_pools_are_reached_by_path_and_by_model_and_named_together(gateway: Gateway) -> None:
    small, large, twin = gateway.engines
    pools = (pool("small", [small]), pool("large", [large], "big"), pool("twin", [twin]))
    gateway.deploy(pools=pools, front_pool="small")
    nested = {"tools": [{"model": "other"}]}
    for body, replica in (
        ({}, "small-0"),
        ({"model": "big"}, "large-0"),
        ({**nested, "model": "big"}, "large-0"),
        ({"messages": ['"model": "tiny"'], "model": "big"}, "large-0"),
        ({"messages": "x" * (2 << 20), "model": "big"}, "large-0"),
    ):
        assert gateway.ask("s", **body).replica == replica
    assert gateway.ask("s", model="huge").error["code"] == "model_not_found"
    assert gateway.ask("s", path="/pools/twin/v1/chat/completions").replica == "twin-0"
    assert twin.asked[0].path == CHAT
    for path, names in (("/v1/models", ["tiny", "big"]), ("/pools/large/v1/models", ["big"])):
        listed = json.loads(gateway.ask(path=path, method="GET").body)
        assert [model["id"] for model in listed["data"]] == names


def test_a_request_of_8_mib_passes_whole(gateway: Gateway) -> None:
    answer = gateway.ask("large", messages=[{"role": "user", "content": "x" * (8 << 20)}])
    assert answer.status == 200
    assert gateway.engine_of(answer.replica).asked[0].body_bytes > 8 << 20


def test_the_access_log_names_session_replica_and_times(gateway: Gateway) -> None:
    answer = gateway.ask('a "session"')
    line = access_log(gateway, 'a \\"session')
    assert (line["session"], line["replica"], line["affinity"]) == ('a "session"', answer.replica, "new")
    assert (line["status"], line["client"], line["pool"]) == (200, "apiKey", "agents")
    assert line["request_time_s"] >= float(line["time_to_first_byte_s"]) >= 0


def test_no_more_than_its_own_user_and_root_reach_the_admin_socket(gateway: Gateway) -> None:
    socket_path = f"{gateway.plan.run_folder}/admin.sock"
    as_nobody = f"runuser -u nobody -- curl -sS --unix-socket {socket_path} http://gateway/status"
    assert gateway.node.try_sh(as_nobody).returncode == 7
    users = gateway.node.sh(f"ps -o uid= --ppid $(cat {gateway.plan.run_folder}/pid)").split()
    assert set(users) == {gateway.node.sh(f"stat -c %u {gateway.plan.run_folder}").strip()} != {"0"}


def test_a_generated_certificate_is_of_the_fleets_ca_for_the_address_and_old_protocols_are_refused(
    gateway: Gateway,
) -> None:
    gateway.deploy(tls=GENERATED)
    assert gateway.ask("secret").status == 200
    own, gateway.ca_key = gateway.ca_key, new_secret(CA_SECRET)
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
        gateway.ask("of another fleet")
    gateway.ca_key = own
    made = gateway.plan.certificate_folder
    assert gateway.node.sh(f"cd {made}; stat -c '%n %a %U:%G' . *").splitlines() == [
        ". 750 root:root",
        "ca.crt 644 root:root",
        "server.crt 644 root:root",
        "server.key 640 root:root",
    ]
    asking = f"openssl s_client -connect {gateway.plan.address}:{gateway.plan.port}"
    old = gateway.node.try_sh(f"{asking} -tls1_1 -cipher 'ALL:@SECLEVEL=0' </dev/null")
    assert "Cipher is (NONE)" in old.stdout


def test_agents_libraries_trust_the_gateway_by_agents_env_and_no_other_fleets(
    gateway: Gateway, tmp_path: Path
) -> None:
    python = require_examples()
    gateway.deploy(tls=GENERATED)
    clients = ("openai", "langchain", "crewai", "requests")
    assert asked_by_agents(python, gateway, tmp_path / "own", *clients) == dict.fromkeys(clients, "one")
    gateway.ca_key = new_secret(CA_SECRET)
    said = asked_by_agents(python, gateway, tmp_path / "other", "openai", "requests")
    assert ["CERTIFICATE_VERIFY_FAILED" in words for words in said.values()] == [True, True], said


def test_a_new_ca_and_another_address_are_taken_over_by_a_reload_and_the_cas_key_stays_nowhere(
    gateway: Gateway,
) -> None:
    gateway.deploy(tls=GENERATED)
    started = f"systemctl show -p InvocationID -p ExecMainPID {gateway.plan.unit}"
    before, held = gateway.node.sh(started), gateway.hold("in flight")
    wait_until(lambda: any(engine.asked for engine in gateway.engines), "the request is held")
    gateway.ca_key = new_secret(CA_SECRET)
    gateway.deploy()
    assert gateway.node.sh(started) == before
    assert gateway.ask("of the new CA").status == 200
    let_go(gateway, [held])
    address = gateway.plan.address
    for name in ("fleet.example.com", address):
        gateway.deploy(address=name)
        assert gateway.node.sh("ls -d /opt/agentfleet/certificates/*").split() == [
            gateway.plan.certificate_folder
        ]
    assert gateway.node.sh(started) == before
    middle = gateway.ca_key.splitlines()[1]
    searched = "/etc /opt/agentfleet /run /var/lib /var/log /tmp /root"
    assert gateway.node.try_sh(f"grep -rsqaF -- '{middle}' {searched}").returncode == 1


def test_a_change_that_fails_brings_back_the_certificate_of_the_ca_before(gateway: Gateway) -> None:
    gateway.deploy(tls=GENERATED)
    before, own, plan = gateway.version, gateway.ca_key, gateway.plan
    wrong = dataclasses.replace(gateway.plan.pools[0], replicas=gateway.plan.pools[0].replicas[:1] * 2)
    gateway.plan = dataclasses.replace(plan, pools=(wrong,))
    gateway.ca_key = new_secret(CA_SECRET)
    with pytest.raises(RolledBack, match="the previous files are back"):
        converge(gateway.machine, gateway.version, before)
    gateway.plan, gateway.ca_key = plan, own
    assert gateway.ask("still").status == 200


def test_a_key_that_is_none_is_named_and_the_old_certificate_goes_on(gateway: Gateway) -> None:
    gateway.deploy(tls=GENERATED)
    own, gateway.ca_key = gateway.ca_key, "no key"
    with pytest.raises(Unfinished, match="the setting caKey is no private key: make one by `openssl genpkey"):
        gateway.deploy()
    gateway.ca_key = own
    assert gateway.ask("still").status == 200


def test_what_nginx_would_not_load_is_refused_and_the_old_version_goes_on(gateway: Gateway) -> None:
    wrong = dataclasses.replace(gateway.plan.pools[0], replicas=gateway.plan.pools[0].replicas[:1] * 2)
    with pytest.raises((RolledBack, Unfinished), match="cannot be told apart"):
        gateway.deploy(pools=(wrong,))
    assert gateway.ask("still").status == 200


def test_a_request_that_is_no_http_is_answered_in_json_too(gateway: Gateway) -> None:
    with socket.create_connection((gateway.plan.address, gateway.plan.port), timeout=30) as raw:
        raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n")
        answer = http.client.HTTPResponse(raw)
        answer.begin()
        whole = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    assert (whole.status, whole.error["type"]) == (400, "invalid_request_error")


def test_another_port_is_a_reload_and_the_one_before_it_stays_guarded_until_nginx_starts_anew(
    gateway: Gateway,
) -> None:
    started = f"systemctl show -p InvocationID {gateway.plan.unit}"
    guarded = "nft list set inet agentfleet_lab gateway | sed -n 's/.*elements = //p'"
    before = gateway.node.sh(started)
    gateway.deploy(port=8181)
    assert gateway.node.sh(started) == before
    assert gateway.ask("moved").status == 200
    assert gateway.node.sh(guarded).strip() == "{ 8080, 8181 }"
    gateway.node.sh(f"systemctl restart {gateway.plan.unit}")
    assert gateway.node.sh(guarded).strip() == "{ 8181 }"


def test_a_second_deployment_changes_nothing_and_a_removal_leaves_nothing(
    gateway: Gateway, bare: Path, tmp_path: Path
) -> None:
    gateway.deploy(tls=GENERATED)
    gateway.rotate("out", "agents-0")
    invocation = f"systemctl show -p InvocationID -p ExecMainPID {gateway.plan.unit}"
    started = gateway.node.sh(invocation)
    workers = gateway.node.sh(f"pgrep -P $(cat {gateway.plan.run_folder}/pid)")
    gateway.deploy()
    assert gateway.node.sh(invocation) == started
    assert gateway.node.sh(f"pgrep -P $(cat {gateway.plan.run_folder}/pid)") == workers
    remove_all(gateway.machine)
    assert differences(bare, snapshot_of(gateway.node.shell, tmp_path / "after.json")) == []
    gateway.plan = dataclasses.replace(gateway.plan, port=0)  # so that the next test brings it again


def asked_by_agents(python: Path, gateway: Gateway, folder: Path, *clients: str) -> dict[str, str]:
    """What agents on this computer are answered, who have read the agents.env that is written now."""
    replica = SimpleNamespace(pool="agents", served_name="tiny")
    endpoint = f"https://{gateway.plan.address}:{gateway.plan.port}/v1"
    fleet = SimpleNamespace(
        name=FLEET, endpoint=endpoint, gateway=gateway.plan, replicas=[replica], state=None
    )
    outputs = {"fleet": FLEET, "agents_env": agents_env(cast("FleetPlan", fleet))}
    text = write_agents_env(StandIn(outputs, {"apiKey": KEY, CA_SECRET: gateway.ca_key}), folder).read_text()
    settings = dict(word.split("=", 1) for word in shlex.split(text, comments=True))
    client = Path(__file__).with_name("asking_client.py")
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **QUIET, **settings}
    asked = subprocess.run(
        [str(python), str(client), *clients],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr[-3000:]
    said: dict[str, str] = json.loads(asked.stdout.splitlines()[-1])
    return said


def let_go(gateway: Gateway, held: list[Future[Answer]]) -> None:
    """Release every engine, and see the held requests answered."""
    for engine in gateway.engines:
        engine.release()
    assert {request.result(30).status for request in held} == {200}


def first_turns_of_others(gateway: Gateway) -> set[str]:
    """The replicas of 20 more sessions."""
    return {gateway.ask(f"other-{number}").replica for number in range(20)}


def metrics(gateway: Gateway) -> str:
    """The page for Prometheus."""
    socket_path = f"{gateway.plan.run_folder}/admin.sock"
    return gateway.node.sh(f"curl -sS --unix-socket {socket_path} http://gateway/metrics")


def access_log(gateway: Gateway, words: str) -> dict[str, str | int | float]:
    """The newest line of the access log with these words."""
    unit = gateway.plan.unit
    asking = (
        f"journalctl --no-pager -o cat -u {unit} -t agentfleet_gateway | grep -F -- '{words}' | tail -n 1"
    )
    wait_until(lambda: gateway.node.sh(asking) != "", f"a line with {words}")
    line: dict[str, str | int | float] = json.loads(gateway.node.sh(asking))
    return line
