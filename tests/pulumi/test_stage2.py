"""Stage 2 as an operator lives with it: three real vLLM replicas behind the gateway, changed while agents work.

The tests of this module build upon each other, in their order: three engines take most of a minute to start.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from typing import Any

import pytest

from provisioning import lab
from support.pulumi_stacks import Stack
from support.shell import Shell
from support.steady_load import SteadyLoad, ask, replica_of
from support.waiting import wait_until

KEY = "k" * 32
SPEC = """
name: {name}
workload: {{topology: flat, agents: 5, workflows: 6, context_tokens: 1024}}
models:
  agent: {{config: tiny-llama, weights: {{generated: tiny-llama}}}}
pools:
  agents: {{model: agent, role: agent, replicas: {replicas}, nodes: {nodes}, max_num_seqs: {max_num_seqs}}}
nodes: {{source: lab, lab: {{count: {count}, kv_cache_memory: 64MiB}}}}
engine: {{shutdown_timeout_s: 20, extra_flags: {extra_flags}}}
gateway: {{kind: nginx, node: node-1, request_limit: {request_limit}, drain_timeout_s: 60}}
"""


def declare(stack: Stack, replicas: int = 3, **other: Any) -> None:
    wanted = {
        "max_num_seqs": 20,
        "extra_flags": "{}",
        "request_limit": "32MiB",
        **other,
        "replicas": replicas,
        "count": replicas + 1,
        "nodes": [f"node-{2 + index}" for index in range(replicas)],
    }
    (stack.folder / "fleet.yaml").write_text(SPEC.format(name=stack.name, **wanted))


def endpoint(stack: Stack) -> str:
    url: str = stack.outputs()["endpoint"]
    return url


def shell_of(stack: Stack, node: str) -> Shell:
    state = next(state for state in lab.nodes_of(stack.name) if state.name == node)
    facts = lab.read(state)
    assert facts
    return Shell.of(facts)


def replicas(stack: Stack) -> dict[str, dict[str, Any]]:
    """What the gateway knows of each replica."""
    rotate = f"/etc/agentfleet/{stack.name}/gateway/rotate"
    known: dict[str, dict[str, Any]] = json.loads(shell_of(stack, "node-1").run(f"{rotate} status"))["pools"][
        "agents"
    ]["replicas"]
    return known


def places(stack: Stack, sessions: list[str]) -> dict[str, str]:
    """Which replica answers each session now."""
    url = endpoint(stack)
    return {session: replica_of(url, KEY, "agent", session) for session in sessions}


@pytest.fixture(scope="module")
def sessions() -> list[str]:
    return [f"agent-{index}" for index in range(24)]


def test_up_ends_with_a_gateway_whose_replicas_hold_what_the_plan_promised(fleet_stack: Stack) -> None:
    declare(fleet_stack)
    fleet_stack.up()
    assert ask(endpoint(fleet_stack), KEY, "agent", "first", stream=True) == ""
    gate = fleet_stack.outputs()["gate"]
    assert {name: report["measured"] for name, report in gate.items()} == {
        f"agents-{index}": 65_536 for index in range(3)
    }
    assert {name: replica["ring"] for name, replica in replicas(fleet_stack).items()} == {
        f"agents-{index}": "in" for index in range(3)
    }


def test_only_the_gateway_reaches_the_engines_and_only_with_a_key_is_it_passed(fleet_stack: Stack) -> None:
    url = endpoint(fleet_stack)
    assert ask(url, "wrong", "agent", "s", stream=False).startswith("status 401")
    replica = next(iter(replicas(fleet_stack).values()))["address"]
    with pytest.raises((urllib.error.URLError, TimeoutError)):
        urllib.request.urlopen(f"http://{replica}/health", timeout=2)
    assert KEY not in fleet_stack.run("preview", "--diff").stdout


def test_a_session_stays_with_its_replica_and_its_cache(fleet_stack: Stack, sessions: list[str]) -> None:
    first = places(fleet_stack, sessions)
    assert set(first.values()) == {f"agents-{index}" for index in range(3)}
    assert places(fleet_stack, sessions) == first


def test_a_second_up_changes_nothing(fleet_stack: Stack) -> None:
    assert "unchanged" in fleet_stack.up("--expect-no-changes", "--refresh").stdout


def test_the_day_two_verbs_see_all_and_a_node_is_drained_under_load(
    fleet_stack: Stack, sessions: list[str]
) -> None:
    seen = fleet_stack.fleet("status", "--format", "json")
    assert seen.returncode == 0, seen.stdout + seen.stderr
    before = {row["name"]: row for row in json.loads(seen.stdout)["replicas"]}
    assert sum(row["sessions"] for row in before.values()) >= len(sessions)
    assert all(0 <= row["prefix_cache_hit_rate"] < 1 for row in before.values())
    assert sum(row["ring_share"] for row in before.values()) == pytest.approx(1)
    load = SteadyLoad(endpoint(fleet_stack), KEY, sessions=6)
    with load.running():
        load.wait_for(30)
        drained = fleet_stack.fleet("drain", "node-3")
        assert drained.returncode == 0, drained.stdout + drained.stderr
        assert "node-3 is drained: agents-1 out of the ring with nothing in flight" in drained.stdout
        requests = replicas(fleet_stack)["agents-1"]["requests"]
        load.wait_for(len(load.outcomes) + 30)
    assert load.faults == Counter()
    assert replicas(fleet_stack)["agents-1"]["requests"] == requests
    seen = fleet_stack.fleet("status")
    assert seen.returncode == 1
    assert "agents-1: drained by an operator: `fleet undrain" in seen.stdout
    assert "unchanged" in fleet_stack.up("--expect-no-changes", "--refresh").stdout
    assert replicas(fleet_stack)["agents-1"]["ring"] == "out"
    logs = fleet_stack.fleet("logs", "node-3", "--since", "1h", "--format", "json")
    assert any(
        "Application startup complete" in json.loads(line)["message"] for line in logs.stdout.splitlines()
    )
    assert fleet_stack.fleet("undrain", "node-3").returncode == 0
    assert fleet_stack.fleet("status").returncode == 0


def test_every_replica_and_the_gateway_change_under_load_and_no_request_notices(fleet_stack: Stack) -> None:
    load = SteadyLoad(endpoint(fleet_stack), KEY, sessions=6)
    declare(fleet_stack, max_num_seqs=16, request_limit="8MiB")
    with load.running():
        load.wait_for(50)
        fleet_stack.up()
        load.wait_for(2000)
    print(f"\n{len(load.outcomes)} requests, {load.streams} of them streams, {dict(load.faults)}")
    assert load.faults == Counter()
    for node in ("node-2", "node-3", "node-4"):
        assert "--max-num-seqs\n16\n" in shell_of(fleet_stack, node).run(
            "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'"
        )
    assert all(replica["ring"] == "in" for replica in replicas(fleet_stack).values())


def test_a_change_that_fails_stops_at_its_first_replica_and_the_fleet_serves(fleet_stack: Stack) -> None:
    declare(fleet_stack, max_num_seqs=16, request_limit="8MiB", extra_flags="{tokenizer-mode: nonsense}")
    load = SteadyLoad(endpoint(fleet_stack), KEY, sessions=2)
    with load.running():
        failed = fleet_stack.up(check=False)
    assert failed.returncode != 0
    assert "the previous version is running again" in failed.stdout
    assert load.faults == Counter()
    assert all(replica["ring"] == "in" for replica in replicas(fleet_stack).values())
    restarted = sum(
        "nonsense" in shell_of(fleet_stack, node).run("journalctl --quiet --output=cat --unit='agentfleet-*'")
        for node in ("node-2", "node-3", "node-4")
    )
    assert restarted == 1
    declare(fleet_stack, max_num_seqs=16, request_limit="8MiB")
    fleet_stack.up()


def test_a_killed_replica_costs_its_requests_in_flight_alone(fleet_stack: Stack, sessions: list[str]) -> None:
    before = places(fleet_stack, sessions)
    load = SteadyLoad(endpoint(fleet_stack), KEY, sessions=6)
    with load.running():
        load.wait_for(60)
        in_flight = load.sessions
        shell_of(fleet_stack, "node-3").run("systemctl kill --signal=KILL 'agentfleet-*-agents-1.service'")
        killed_s = time.monotonic()  # it died before this
        load.wait_for(len(load.outcomes) + 100)
    failed = [outcome for outcome in load.outcomes if outcome.fault]
    print(
        f"\n{len(failed)} failed, the last began {max([o.began_s - killed_s for o in failed], default=0):.2f} s after"
    )
    assert len(failed) <= in_flight
    assert all(outcome.began_s <= killed_s + 0.5 for outcome in failed)
    after = places(fleet_stack, sessions)
    assert all(after[session] == place for session, place in before.items() if place != "agents-1")
    fleet_stack.up("--refresh")
    wait_until(lambda: all(one["healthy"] for one in replicas(fleet_stack).values()), "all serve again", 240)


def test_a_fourth_replica_and_its_leaving_move_few_sessions(fleet_stack: Stack) -> None:
    sessions = [f"wanderer-{index}" for index in range(60)]
    three = places(fleet_stack, sessions)
    declare(fleet_stack, replicas=4, max_num_seqs=16, request_limit="8MiB")
    load = SteadyLoad(endpoint(fleet_stack), KEY, sessions=2)
    with load.running():
        fleet_stack.up()
    four = places(fleet_stack, sessions)
    declare(fleet_stack, replicas=3, max_num_seqs=16, request_limit="8MiB")
    with load.running():
        fleet_stack.up()
    again = places(fleet_stack, sessions)
    grown, shrunk = (
        sum(one[session] != other[session] for session in sessions) / len(sessions)
        for one, other in ((three, four), (four, again))
    )
    print(f"\nmoved: {grown:.0%} from 3 to 4 replicas, {shrunk:.0%} back")
    assert grown <= 1 / 4 + 0.05
    assert shrunk <= 1 / 4 + 0.05
    assert load.faults == Counter()


def test_destroy_leaves_no_machine(fleet_stack: Stack) -> None:
    fleet_stack.destroy()
    assert fleet_stack.resources() == []
